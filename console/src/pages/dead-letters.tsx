import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post, type ApiError } from "../api";
import type { DeadLetter, DeadLetterCause, DeadLetterJob, ListDeadLettersResponse } from "../api-types";
import { Ask, Empty, Failure, More, Skeleton, Time, asApiError } from "../parts/basics";
import { Job } from "../parts/job";
import { usePages } from "../parts/reading";
import { Link, navigate } from "../router";
import { actionWord, causeWord, channelWord, words } from "../words";

const say = words.review;

// What waits for a decision, by cause. The letter that has the focus is shown beside the list, and keys decide about it.
export function DeadLetters({ id }: { id: string | undefined }) {
  const list = usePages<ListDeadLettersResponse, DeadLetter>("/v1/dead-letters", { page_size: 200 }, (page) => page.dead_letters);
  const decided = useSignal<ReadonlySet<string>>(new Set()); // since the list was read
  const rows = list.rows && byCause(list.rows.filter((row) => !decided.value.has(nameOf(row))));
  const asking = useSignal<"requeue" | "discard" | null>(null);
  const group = useSignal<{ cause: DeadLetterCause; what: "requeue" | "discard" } | null>(null);
  const job = useSignal("");
  const decide = async (what: "requeue" | "discard", note: string) => {
    if (id === undefined) return;
    await post(`/v1/dead-letters/${id}:${what}`, { note });
    const at = (rows ?? []).findIndex((row) => row.notification_id === id);
    const left = (rows ?? []).filter((row) => row.notification_id !== id);
    decided.value = new Set([...decided.value, ...(rows ?? []).slice(Math.max(0, at), at + 1).map(nameOf)]);
    const next = left[Math.min(Math.max(0, at), left.length - 1)]?.notification_id;
    navigate(next ? `/dead-letters/${next}` : "/dead-letters", { replace: true });
    if (next) requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-row][href$="${next}"]`)?.focus());
  };

  const decideGroup = async (note: string) => {
    if (group.value === null) return;
    const made = await post<DeadLetterJob>(`/v1/dead-letters:${group.value.what}`, { filter: { cause: group.value.cause }, note });
    job.value = made.id ?? "";
  };

  if (list.error) return <Failure alone error={list.error} retry={list.again} />;
  return (
    <>
      <header class="head">
        <div>
          <h1>{words.deadLetters}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <button type="button" onClick={list.again}>
          {words.list.refresh}
        </button>
      </header>
      {job.value && <Job key={job.value} id={job.value} onEnd={list.again} />}
      {rows === null ? (
        <Skeleton />
      ) : rows.length === 0 && id === undefined ? (
        <Empty title={say.empty} hint={say.emptyHint} />
      ) : (
        <div class="review">
          <div class="groups">
            {groups(rows).map(([cause, letters]) => (
              <Group key={cause} cause={cause} letters={letters} chosen={id} onAll={(what) => (group.value = { cause, what })} />
            ))}
            <More more={list.more} end={false} />
          </div>
          {id ? (
            <Letter key={id} id={id} onAsk={(what) => (asking.value = what)} />
          ) : (
            <div class="letter">
              <p class="quiet">{say.choose}</p>
            </div>
          )}
        </div>
      )}
      {group.value && (
        <Ask
          title={say.allAsk[group.value.what]}
          text={say.allText(causeWord[group.value.cause])}
          action={say.all[group.value.what]}
          danger={group.value.what === "discard"}
          note={words.one.note}
          onDo={decideGroup}
          onClose={() => (group.value = null)}
        />
      )}
      {asking.value && (
        <Ask
          title={asking.value === "requeue" ? words.one.requeueAsk : say.discardAsk}
          text={asking.value === "requeue" ? words.one.requeueText : say.discardText}
          action={asking.value === "requeue" ? words.one.requeue : say.discard}
          danger={asking.value === "discard"}
          note={words.one.note}
          onDo={(note) => decide(asking.value ?? "requeue", note)}
          onClose={() => (asking.value = null)}
        />
      )}
    </>
  );
}

// One that comes back has another run.
const nameOf = (row: DeadLetter) => `${row.notification_id} ${row.run ?? 0}`;

const byCause = (letters: readonly DeadLetter[]) => groups(letters).flatMap(([, group]) => group);

function groups(letters: readonly DeadLetter[]): [DeadLetterCause, DeadLetter[]][] {
  const found = new Map<DeadLetterCause, DeadLetter[]>();
  for (const letter of letters) {
    const cause = letter.cause ?? "other";
    found.set(cause, [...(found.get(cause) ?? []), letter]);
  }
  return [...found].sort(([, one], [, other]) => other.length - one.length);
}

interface GroupProps {
  readonly cause: DeadLetterCause;
  readonly letters: readonly DeadLetter[];
  readonly chosen: string | undefined;
  readonly onAll: (what: "requeue" | "discard") => void;
}

function Group({ cause, letters, chosen, onAll }: GroupProps) {
  return (
    <section aria-labelledby={`cause-${cause}`}>
      <div class="head">
        <h2 id={`cause-${cause}`}>
          {causeWord[cause]} <span class="quiet">{letters.length}</span>
        </h2>
        {(["requeue", "discard"] as const).map((what) => (
          <button key={what} type="button" class="plain" aria-describedby={`cause-${cause}`} onClick={() => onAll(what)}>
            {say.all[what]}
          </button>
        ))}
      </div>
      <ul class="letters">
        {letters.map((letter) => {
          const to = `/dead-letters/${letter.notification_id}`;
          return (
            <li key={letter.notification_id}>
              <Link to={to} data-row aria-current={letter.notification_id === chosen ? "true" : undefined} onFocus={() => navigate(to, { replace: true })}>
                <span class="name">{letter.template}</span>
                <code>{letter.reason}</code>
                <span class="quiet">{letter.channel && channelWord[letter.channel]}</span>
                <Time iso={letter.create_time} />
              </Link>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Letter({ id, onAsk }: { id: string; onAsk: (what: "requeue" | "discard") => void }) {
  const letter = useSignal<DeadLetter | null>(null);
  const error = useSignal<ApiError | null>(null);
  useEffect(() => {
    let current = true;
    // a moment, so that walking through the list with a key held down asks for the last one only
    const timer = setTimeout(() => {
      get<DeadLetter>(`/v1/dead-letters/${encodeURIComponent(id)}`).then(
        (read) => current && (letter.value = read),
        (problem) => current && (error.value = asApiError(problem)),
      );
    }, 80);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [id]);
  if (error.value) return <Failure error={error.value} />;
  const one = letter.value;
  if (one === null) return <Skeleton rows={4} />;
  const preview = one.preview;
  const content = preview?.content;
  return (
    <section class="letter" aria-labelledby="letter">
      <h2 id="letter">{one.template}</h2>
      <p>
        <code>{one.reason}</code> {one.detail}
      </p>
      <p class="quiet">
        {say.tries(one.attempts ?? 0)} · <Time iso={one.create_time} /> · <Link to={`/notifications/${id}`}>{say.story}</Link>
      </p>
      {one.state === "open" ? (
        <div class="decide">
          <button type="button" class="primary" data-requeue onClick={() => onAsk("requeue")}>
            {words.one.requeue} <kbd>r</kbd>
          </button>
          <button type="button" class="danger" data-discard onClick={() => onAsk("discard")}>
            {say.discard} <kbd>x</kbd>
          </button>
        </div>
      ) : (
        <p class="notice">{say.decided}</p>
      )}
      <h3>{say.preview}</h3>
      <p class="quiet">{say.masked}</p>
      <div class="captured">
        {preview?.recipient && <p class="quiet">{preview.recipient}</p>}
        {preview?.decision && preview.decision !== "send" && <p class="problem">{say.wouldNot(preview.rule ?? "")}</p>}
        {preview?.problem && <p class="problem">{preview.problem}</p>}
        {content && (
          <>
            <h4>{content.subject || content.title}</h4>
            <pre tabIndex={0}>{content.text || content.body}</pre>
          </>
        )}
      </div>
      {(one.audit ?? []).length > 0 && (
        <>
          <h3>{say.audit}</h3>
          <ol class="audit">
            {one.audit?.map((entry, index) => (
              <li key={index}>
                <Time iso={entry.time} /> {entry.action && actionWord[entry.action]} {entry.note && `“${entry.note}”`}
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}
