// Small things that every page uses.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../api";
import type { NotificationStatus } from "../api-types";
import { fillFields, keepFields, key } from "../draft";
import { path } from "../router";
import { ended } from "../session";
import { between, duration, shortTime } from "../times";
import { statusWord, words } from "../words";

export function Status({ status }: { status: NotificationStatus | undefined }) {
  if (!status) return null;
  return <span class={`status ${status}`}>{statusWord[status]}</span>;
}

const utc = (iso: string) => `${new Date(iso).toISOString().replace("T", " ").replace("Z", "")} UTC`;

export function Time({ iso, after }: { iso: string | undefined; after?: string | undefined }) {
  if (!iso) return <span class="quiet">–</span>;
  return (
    <time dateTime={iso} title={utc(iso)}>
      {after === undefined ? shortTime(iso) : `+${duration(between(after, iso))}`}
    </time>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const done = useSignal(false);
  useEffect(() => {
    if (!done.value) return;
    const timer = setTimeout(() => (done.value = false), 1_500);
    return () => clearTimeout(timer);
  }, [done.value]);
  return (
    <button type="button" class="copy" aria-label={`${words.copy} ${label}`} onClick={async () => (done.value = await copied(text))}>
      <span aria-live="polite">{done.value ? words.copied : words.copy}</span>
    </button>
  );
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // plain HTTP from another machine has no clipboard; the old way works there
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const worked = document.execCommand("copy");
    field.remove();
    return worked;
  }
}

export function Failure({ error, retry, alone }: { error: ApiError; retry?: () => void; alone?: boolean }) {
  return (
    <div class="state failure" role="alert">
      {alone ? <h1>{words.failed}</h1> : <h2>{words.failed}</h2>}
      <p>{error.message}</p>
      {error.correlationId && (
        <p class="quiet">
          {words.correlation} <code>{error.correlationId}</code> <Copy text={error.correlationId} label={words.correlation} />
        </p>
      )}
      {retry && (
        <button type="button" onClick={retry}>
          {words.retry}
        </button>
      )}
    </div>
  );
}

// `alone`: nothing else is on the page, whose heading this is then.
export function Empty({ title, hint, alone, children }: { title: string; hint: string; alone?: boolean; children?: ComponentChildren }) {
  return (
    <div class="state">
      {alone ? <h1>{title}</h1> : <h2>{title}</h2>}
      <p class="quiet">{hint}</p>
      {children}
    </div>
  );
}

// The foot of a list whose pages are read one after the other; `more` is null at the end.
export function More({ more, end = true }: { more: (() => void) | null; end?: boolean }) {
  if (!more && !end) return null;
  return (
    <p class="foot">
      {more ? (
        <button type="button" onClick={more}>
          {words.list.more}
        </button>
      ) : (
        <span class="quiet">{words.list.end}</span>
      )}
    </p>
  );
}

export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label={words.loading}>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} />
      ))}
    </div>
  );
}

export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(0, "CONSOLE", error instanceof Error ? error.message : String(error));

interface AskProps {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly danger?: boolean;
  readonly note?: string;
  readonly most?: number; // how many characters the note may have
  readonly expected?: string; // what must be typed to go on
  readonly onDo: (note: string) => Promise<void>;
  readonly onClose: () => void;
}

interface DialogProps {
  readonly title: string;
  readonly action: string;
  readonly danger?: boolean | undefined;
  readonly ready?: boolean; // whether what is filled in may be sent
  readonly onDo: (form: HTMLFormElement) => Promise<void>;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

// A native dialog with a form: it traps the focus, closes with Escape and is read out by itself. What is refused is said in it, and can be tried again.
export function Dialog({ title, action, danger, ready = true, onDo, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const error = useSignal<ApiError | null>(null);
  const busy = useSignal(false);
  useEffect(() => {
    const form = dialog.current?.querySelector("form");
    const place = key(`dialog:${path.value}:${title}`);
    dialog.current?.showModal();
    if (form) fillFields(place, form);
    return () => {
      if (form && ended.value) keepFields(place, form);
    };
  }, []);
  const submit = async (form: HTMLFormElement) => {
    busy.value = true;
    error.value = null;
    try {
      await onDo(form);
      onClose();
    } catch (problem) {
      error.value = asApiError(problem);
      busy.value = false;
    }
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="dialog-title">
      <form onSubmit={(event) => (event.preventDefault(), void submit(event.currentTarget))}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        {error.value && (
          <p role="alert" class="problem">
            {error.value.message}
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            {words.one.keep}
          </button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={busy.value || !ready}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

// A question before something is done.
export function Ask({ title, text, action, danger, note, most = 1000, expected, onDo, onClose }: AskProps) {
  const written = useSignal("");
  return (
    <Dialog
      title={title}
      action={action}
      danger={danger}
      ready={expected === undefined || written.value.trim() === expected}
      onDo={() => onDo(written.value)}
      onClose={onClose}
    >
      <p>{text}</p>
      {note && (
        <label>
          {note}
          <input maxLength={most} autoComplete="off" onInput={(event) => (written.value = event.currentTarget.value)} />
        </label>
      )}
    </Dialog>
  );
}
