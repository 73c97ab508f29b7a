// Writing a partial: checked by the gateway while it is written, saved, and brought into the templates that use it.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { post, put, remove, type ApiError } from "../api";
import type { LintContentsResponse, Partial, Rebuilt, RebuildTemplatesResponse } from "../api-types";
import { marksOf, type Mark } from "../draft";
import { Ask, Dialog, Failure, Skeleton, Time, asApiError } from "../parts/basics";
import { Code } from "../parts/code";
import { useRead } from "../parts/reading";
import { Link, guard, leaving, navigate } from "../router";
import { may } from "../session";
import { words } from "../words";

const say = words.partials;
const TYPING_MS = 250;
const FIELD = "contents.en.text"; // where the check finds the source

export function PartialEditor({ name }: { name: string }) {
  const path = `/v1/partials/${encodeURIComponent(name)}`;
  const read = useRead<Partial>(path);
  const isNew = read.error?.status === 404;
  if (read.error && !isNew) return <Failure alone error={read.error} retry={read.again} />;
  if (read.value === null && !isNew) return <Skeleton />;
  return <Editor name={name} path={path} of={read.value} again={read.again} />;
}

interface EditorProps {
  readonly name: string;
  readonly path: string;
  readonly of: Partial | null; // null before it is saved for the first time
  readonly again: () => void;
}

function Editor({ name, path, of, again }: EditorProps) {
  const source = useSignal(of?.source ?? "");
  const error = useSignal<ApiError | null>(null);
  const asked = useSignal<"" | "rebuild" | "remove">("");
  const changed = source.value !== (of?.source ?? "");
  const marks = useMarks(source.value);
  const older = (of?.uses ?? []).filter((use) => (use.revision ?? 0) < (of?.revision ?? 0));
  useEffect(() => {
    guard(changed);
    return () => guard(false);
  }, [changed]);
  const save = async () => {
    error.value = null;
    try {
      await put(path, { source: source.value });
      again();
    } catch (problem) {
      error.value = asApiError(problem);
    }
  };
  return (
    <article class="editor">
      <Link to="/partials" class="back">
        ← {say.back}
      </Link>
      <header class="head">
        <div>
          <h1>{name}</h1>
          <p class="sentence">
            {of === null ? say.fresh : say.sentence(of.revision ?? 0)} {of && <Time iso={of.update_time} />}
          </p>
        </div>
        {of !== null && may("templates:write") && (
          <button type="button" class="danger" onClick={() => (asked.value = "remove")}>
            {say.remove}
          </button>
        )}
        {may("templates:write") && (
          <button type="button" class="primary" disabled={!changed || !source.value} onClick={() => void save()}>
            {say.save}
          </button>
        )}
      </header>
      {error.value && (
        <p role="alert" class="problem">
          {error.value.message}
        </p>
      )}
      <section aria-labelledby="text">
        <h2 id="text">{say.text}</h2>
        <p class="quiet">{say.takenIn(name)}</p>
        <Code label={say.source} text={source.value} markup={!name.endsWith(".txt")} marks={marks} onText={(text) => (source.value = text)} />
      </section>
      {of !== null && <Uses of={of} older={older.length} onRebuild={() => (asked.value = "rebuild")} />}
      {asked.value === "rebuild" && <Rebuild path={path} onDone={again} onClose={() => (asked.value = "")} />}
      {asked.value === "remove" && (
        <Ask
          title={say.removeAsk(name)}
          text={say.removeText}
          action={say.remove}
          danger
          onDo={async () => {
            await remove(path);
            guard(false);
            navigate("/partials");
          }}
          onClose={() => (asked.value = "")}
        />
      )}
      {leaving.value && <Leave />}
    </article>
  );
}

// What is wrong with it as Jinja2, a moment after the last key. What only the whole text of a template shows is found when they are rebuilt.
function useMarks(source: string): readonly Mark[] {
  const marks = useSignal<readonly Mark[]>([]);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(async () => {
      let found: readonly Mark[] = [];
      try {
        if (source) await post<LintContentsResponse>("/v1/templates:lint", { channel: "email", contents: { en: { subject: "-", text: source } } });
      } catch (problem) {
        found = marksOf(asApiError(problem).violations, []).filter((one) => one.field === FIELD);
      }
      if (current) marks.value = found;
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [source]);
  return marks.value;
}

function Uses({ of, older, onRebuild }: { of: Partial; older: number; onRebuild: () => void }) {
  const uses = of.uses ?? [];
  return (
    <section aria-labelledby="uses">
      <div class="head">
        <h2 id="uses">{say.uses}</h2>
        {older > 0 && may("templates:write") && (
          <button type="button" onClick={onRebuild}>
            {say.rebuild(older)}
          </button>
        )}
      </div>
      {uses.length === 0 ? (
        <p class="quiet">{say.noUse}</p>
      ) : (
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">{words.list.template}</th>
              <th scope="col">{words.templates.published}</th>
              <th scope="col">{say.holds}</th>
            </tr>
          </thead>
          <tbody>
            {uses.map((use) => (
              <tr key={use.template}>
                <td class="main">
                  <Link to={`/templates/${use.template}`} data-row>
                    {use.template}
                  </Link>
                </td>
                <td>{words.templates.number(use.version ?? 0)}</td>
                <td>{(use.revision ?? 0) < (of.revision ?? 0) ? <span class="status retrying">{say.olderOne(use.revision ?? 0)}</span> : <span class="status sent">{say.thisOne}</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

// First what would be done, template by template; then it is done, and what came of it stays on the screen.
function Rebuild({ path, onDone, onClose }: { path: string; onDone: () => void; onClose: () => void }) {
  const found = useSignal<readonly Rebuilt[] | null>(null);
  const error = useSignal<ApiError | null>(null);
  useEffect(() => {
    post<RebuildTemplatesResponse>(`${path}:rebuild`, { validate_only: true }).then(
      (answer) => (found.value = answer.templates ?? []),
      (problem) => (error.value = asApiError(problem)),
    );
  }, []);
  const rebuild = async () => {
    await post<RebuildTemplatesResponse>(`${path}:rebuild`, {});
    onDone();
  };
  const good = found.value?.filter((one) => !one.problem) ?? [];
  return (
    <Dialog title={say.rebuildAsk} action={say.rebuildIt} ready={good.length > 0} onDo={rebuild} onClose={onClose}>
      <p>{say.rebuildText}</p>
      {error.value && <p class="problem">{error.value.message}</p>}
      {found.value === null && !error.value && <Skeleton rows={2} />}
      {found.value && (
        <ul class="plain-list">
          {found.value.map((one) => (
            <li key={one.template} class={one.problem ? "problem" : ""}>
              {one.template}: {one.problem || say.wouldBe(one.old_version ?? 0)}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}

function Leave() {
  const go = useRef(leaving.value);
  const leave = async () => {
    guard(false);
    go.current?.();
  };
  return <Ask title={words.editor.leaveAsk} text={say.leaveText} action={words.editor.leave} onDo={leave} onClose={() => (leaving.value = null)} />;
}
