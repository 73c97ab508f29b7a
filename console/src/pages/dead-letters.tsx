import { useSignal } from "@preact/signals";
import { post } from "../api";
import type { DeadLetter, DeadLetterCause, DeadLetterJob, ListDeadLettersResponse } from "../api-types";
import { Ask, Dialog, Empty, Failure, More, Skeleton, Time } from "../parts/basics";
import { EditLetter, Letter, type Decision } from "../parts/dead-letter";
import { TextFilter } from "../parts/filters";
import { Job } from "../parts/job";
import { usePages } from "../parts/reading";
import { Link, navigate, query, setQuery } from "../router";
import { causeWord, channelWord, words } from "../words";

const say = words.review;

const FILTERS = ["channel", "template", "reason"] as const;

// What waits for a decision, by cause. The letter that has the focus is shown beside the list, and keys decide about it.
export function DeadLetters({ id }: { id: string | undefined }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? ""]).filter(([, value]) => value));
  const list = usePages<ListDeadLettersResponse, DeadLetter>("/v1/dead-letters", { ...filters, page_size: 200 }, (page) => page.dead_letters);
  const decided = useSignal<ReadonlySet<string>>(new Set()); // since the list was read
  const rows = list.rows && byCause(list.rows.filter((row) => !decided.value.has(nameOf(row))));
  const asking = useSignal<Decision | null>(null);
  const editing = useSignal<DeadLetter | null>(null);
  const group = useSignal<{ cause: DeadLetterCause; what: Decision } | null>(null);
  const job = useSignal("");
  const decide = async (what: Decision, body: Record<string, unknown>) => {
    if (id === undefined) return;
    await post(`/v1/dead-letters/${encodeURIComponent(id)}:${what}`, body);
    const at = (rows ?? []).findIndex((row) => row.notification_id === id);
    const left = (rows ?? []).filter((row) => row.notification_id !== id);
    decided.value = new Set([...decided.value, ...(rows ?? []).slice(Math.max(0, at), at + 1).map(nameOf)]);
    const next = left[Math.min(Math.max(0, at), left.length - 1)]?.notification_id;
    navigate((next ? `/dead-letters/${next}` : "/dead-letters") + window.location.search, { replace: true });
    if (next) requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-row][href*="/${next}"]`)?.focus());
  };

  const decideGroup = async (form: HTMLFormElement) => {
    if (group.value === null) return;
    const given = new FormData(form);
    const body = { filter: { ...filters, cause: group.value.cause }, note: given.get("note"), rate_per_s: Number(given.get("rate")) };
    const made = await post<DeadLetterJob>(`/v1/dead-letters:${group.value.what}`, body);
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
      <Narrow />
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
            <Letter key={id} id={id} onAsk={(what) => (asking.value = what)} onEdit={(letter) => (editing.value = letter)} />
          ) : (
            <div class="letter">
              <p class="quiet">{say.choose}</p>
            </div>
          )}
        </div>
      )}
      {group.value && <All of={group.value} filters={filters} onDo={decideGroup} onClose={() => (group.value = null)} />}
      {editing.value && <EditLetter of={editing.value} onDo={(body) => decide("requeue", body)} onClose={() => (editing.value = null)} />}
      {asking.value && (
        <Ask
          title={asking.value === "requeue" ? words.one.requeueAsk : say.discardAsk}
          text={asking.value === "requeue" ? words.one.requeueText : say.discardText}
          action={asking.value === "requeue" ? words.one.requeue : say.discard}
          danger={asking.value === "discard"}
          note={words.one.note}
          onDo={(note) => decide(asking.value ?? "requeue", { note })}
          onClose={() => (asking.value = null)}
        />
      )}
    </>
  );
}

function Narrow() {
  const chosen = query.value;
  return (
    <form class="filters" role="search" aria-label={words.audit.filters} onSubmit={(event) => event.preventDefault()}>
      <label>
        {words.list.channel}
        <select data-first-filter value={chosen.get("channel") ?? ""} onChange={(event) => setQuery({ channel: event.currentTarget.value })}>
          <option value="">{words.list.any}</option>
          {Object.entries(channelWord).map(([channel, word]) => (
            <option key={channel} value={channel}>
              {word}
            </option>
          ))}
        </select>
      </label>
      <TextFilter name="template" label={words.list.template} hint={words.list.templateHint} />
      <TextFilter name="reason" label={words.list.reason} hint="SMTP_550_5_1_1" />
      {FILTERS.some((name) => chosen.has(name)) && (
        <button type="button" class="plain" onClick={() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>
          {words.list.clear}
        </button>
      )}
    </form>
  );
}

interface AllProps {
  readonly of: { readonly cause: DeadLetterCause; readonly what: Decision };
  readonly filters: Record<string, string>;
  readonly onDo: (form: HTMLFormElement) => Promise<void>;
  readonly onClose: () => void;
}

// All of a cause, as far as the filters let them through.
function All({ of, filters, onDo, onClose }: AllProps) {
  return (
    <Dialog title={say.allAsk[of.what]} action={say.all[of.what]} danger={of.what === "discard"} onDo={onDo} onClose={onClose}>
      <p>{say.allText(causeWord[of.cause])}</p>
      {Object.keys(filters).length > 0 && <p class="notice">{say.narrowed(Object.entries(filters).map(([name, value]) => `${name} = ${value}`))}</p>}
      <label>
        {words.one.note}
        <input name="note" maxLength={1000} autoComplete="off" />
      </label>
      <label>
        {say.rate}
        <input name="rate" type="number" required min={1} max={1000} defaultValue="100" />
      </label>
    </Dialog>
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
  readonly onAll: (what: Decision) => void;
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
          const to = `/dead-letters/${letter.notification_id}${window.location.search}`;
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
