// One dead letter beside the list: why it failed, what would be sent now, and what was decided about it.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post, type ApiError } from "../api";
import type { DeadLetter, DeadLetterPreview } from "../api-types";
import { Link } from "../router";
import { may } from "../session";
import { actionWord, words } from "../words";
import { Ask, Dialog, Failure, Skeleton, Time, asApiError } from "./basics";
import { variablesOf } from "./template-preview";

const say = words.review;

export type Decision = "requeue" | "discard";

interface LetterProps {
  readonly id: string;
  readonly onAsk: (what: Decision) => void;
  readonly onEdit: (letter: DeadLetter) => void;
}

export function Letter({ id, onAsk, onEdit }: LetterProps) {
  const letter = useSignal<DeadLetter | null>(null);
  const error = useSignal<ApiError | null>(null);
  const full = useSignal(false);
  const noting = useSignal(false);
  const turn = useSignal(0);
  useEffect(() => {
    let current = true;
    // a moment, so that walking through the list with a key held down asks for the last one only
    const timer = setTimeout(() => {
      get<DeadLetter>(`/v1/dead-letters/${encodeURIComponent(id)}`, full.value ? { view: "full" } : {}).then(
        (read) => current && (letter.value = read),
        (problem) => current && (error.value = asApiError(problem)),
      );
    }, 80);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [id, full.value, turn.value]);
  if (error.value) return <Failure error={error.value} />;
  const one = letter.value;
  if (one === null) return <Skeleton rows={4} />;
  return (
    <section class="letter" aria-labelledby="letter">
      <h2 id="letter">{one.template}</h2>
      <p>
        <code>{one.reason}</code> {one.detail}
      </p>
      <p class="quiet">
        {say.tries(one.attempts ?? 0)} · <Time iso={one.create_time} /> · <Link to={`/notifications/${id}`}>{say.story}</Link>
      </p>
      {one.state === "open" ? <Decide of={one} onAsk={onAsk} onEdit={onEdit} /> : <p class="notice">{say.decided}</p>}
      <div class="head">
        <h3>{say.preview}</h3>
        {one.preview?.redacted && may("deadletters:content") && (
          <button type="button" class="plain" title={say.fullHint} onClick={() => (full.value = true)}>
            {say.full}
          </button>
        )}
      </div>
      {one.preview && <Preview of={one.preview} />}
      <div class="head">
        <h3>{say.audit}</h3>
        <button type="button" class="plain" data-note onClick={() => (noting.value = true)}>
          {say.note} <kbd>n</kbd>
        </button>
      </div>
      {(one.audit ?? []).length > 0 ? <Audit of={one} /> : <p class="quiet">{say.noAudit}</p>}
      {noting.value && (
        <Ask
          title={say.noteAsk}
          text={say.noteText}
          action={say.noteIt}
          note={words.one.note}
          onDo={async (note) => {
            await post(`/v1/dead-letters/${encodeURIComponent(id)}:annotate`, { note });
            turn.value += 1;
          }}
          onClose={() => (noting.value = false)}
        />
      )}
    </section>
  );
}

function Decide({ of, onAsk, onEdit }: { of: DeadLetter; onAsk: (what: Decision) => void; onEdit: (letter: DeadLetter) => void }) {
  return (
    <div class="decide">
      <button type="button" class="primary" data-requeue onClick={() => onAsk("requeue")}>
        {words.one.requeue} <kbd>r</kbd>
      </button>
      {may("deadletters:redirect") && (
        <button type="button" data-edit onClick={() => onEdit(of)}>
          {say.edit} <kbd>e</kbd>
        </button>
      )}
      <button type="button" class="danger" data-discard onClick={() => onAsk("discard")}>
        {say.discard} <kbd>x</kbd>
      </button>
    </div>
  );
}

function Preview({ of }: { of: DeadLetterPreview }) {
  const content = of.content;
  return (
    <>
      {of.redacted && <p class="quiet">{say.masked}</p>}
      <div class="captured">
        {of.recipient && <p class="quiet">{of.recipient}</p>}
        {of.decision && of.decision !== "send" && <p class="problem">{say.wouldNot(of.rule ?? "")}</p>}
        {of.problem && <p class="problem">{of.problem}</p>}
        {content && (
          <>
            <h4>{content.subject || content.title}</h4>
            <pre tabIndex={0}>{content.text || content.body}</pre>
          </>
        )}
      </div>
    </>
  );
}

function Audit({ of }: { of: DeadLetter }) {
  return (
    <ol class="audit">
      {of.audit?.map((entry, index) => (
        <li key={index}>
          <Time iso={entry.time} /> {entry.action && actionWord[entry.action]} {entry.redirected_to && say.redirected(entry.redirected_to)} {entry.note && `“${entry.note}”`}
        </li>
      ))}
    </ol>
  );
}

// Another address, another person, other values: what is left empty stays as it was.
export function EditLetter({ of, onDo, onClose }: { of: DeadLetter; onDo: (body: Record<string, unknown>) => Promise<void>; onClose: () => void }) {
  const requeue = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const variables = variablesOf(text("variables"));
    await onDo({
      note: text("note"),
      ...(text("email") ? { email: text("email") } : {}),
      ...(text("user") ? { user_id: text("user") } : {}),
      ...(Object.keys(variables).length ? { variables } : {}),
    });
  };
  const known = Object.entries(of.preview?.variables ?? {});
  return (
    <Dialog title={say.editAsk} action={words.one.requeue} onDo={requeue} onClose={onClose}>
      <p>{say.editText}</p>
      {of.channel === "email" && (
        <label>
          {say.otherAddress}
          <input name="email" maxLength={320} autoComplete="off" spellcheck={false} />
        </label>
      )}
      <label>
        {say.otherPerson}
        <input name="user" maxLength={128} autoComplete="off" spellcheck={false} />
      </label>
      <label>
        {say.otherValues}
        <textarea name="variables" rows={4} spellcheck={false} placeholder="{}" />
      </label>
      {known.length > 0 && <p class="quiet">{say.values(known.map(([name, value]) => `${name} = ${JSON.stringify(value)}`))}</p>}
      <label>
        {words.one.note}
        <input name="note" maxLength={1000} autoComplete="off" />
      </label>
    </Dialog>
  );
}
