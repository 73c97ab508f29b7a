// Writing a new version of a template: each language and part, checked and shown by the gateway while it is being written.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { post, type ApiError, type Violation } from "../api";
import type { LintContentsResponse, Template, TemplateVersion } from "../api-types";
import * as drafts from "../draft";
import type { Draft, Mark, Part } from "../draft";
import { Ask, Dialog, Empty, Failure, Skeleton, asApiError } from "../parts/basics";
import { Code } from "../parts/code";
import { useRead } from "../parts/reading";
import { Preview, sample, type Reader } from "../parts/template-preview";
import { lacks } from "../parts/template-report";
import { Link, guard, leaving, navigate, query, setQuery } from "../router";
import { channelWord, words } from "../words";

const say = words.editor;
const TYPING_MS = 250;

export function TemplateEditor({ name }: { name: string }) {
  const path = `/v1/templates/${encodeURIComponent(name)}`;
  const template = useRead<Template>(path);
  const number = Number(query.value.get("version")) || template.value?.latest_version || 0;
  const version = useRead<TemplateVersion>(number ? `${path}/versions/${number}` : path);
  const error = template.error ?? version.error;
  if (error?.status === 404) {
    return (
      <Empty alone title={words.templates.missing} hint={words.one.missingHint}>
        <Link to="/templates">{words.templates.back}</Link>
      </Empty>
    );
  }
  if (error) return <Failure alone error={error} retry={() => (template.again(), version.again())} />;
  if (template.value === null || version.value === null || (number > 0 && version.value.version !== number)) return <Skeleton />;
  return <Editor key={number} template={template.value} version={number ? version.value : undefined} again={template.again} />;
}

interface EditorProps {
  readonly template: Template;
  readonly version: TemplateVersion | undefined;
  readonly again: () => void;
}

function Editor({ template, version, again }: EditorProps) {
  const name = template.name ?? "";
  const fallback = template.default_locale ?? "en";
  const begun = useRef(drafts.begin(version, fallback, template.latest_version ?? 0));
  const found = useRef(drafts.kept(name));
  const draft = useSignal<Draft>(found.current ?? begun.current);
  const turn = useSignal(0); // the editors begin anew with it
  const asked = useSignal<"" | "save" | "restart">("");
  const reader = useSignal<Partial<Reader>>({});
  const rendering = useSignal<ApiError | null>(null);
  const now = draft.value;
  const changed = JSON.stringify(drafts.body(now)) !== JSON.stringify(drafts.body(begun.current)) || now.from !== begun.current.from;
  const check = useCheck(template, now);
  const wanted = query.value.get("locale") ?? "";
  const locale = wanted in now.contents ? wanted : fallback in now.contents ? fallback : (Object.keys(now.contents)[0] ?? fallback);
  const marks = drafts.marksOf([...check.violations, ...(rendering.value?.violations ?? [])], check.report?.findings ?? []);

  useEffect(() => {
    guard(changed);
    return () => guard(false);
  }, [changed]);
  const set = (next: Draft) => {
    draft.value = next;
    drafts.keep(name, next);
  };
  const restart = async () => {
    drafts.keep(name, null);
    found.current = null;
    draft.value = begun.current;
    turn.value += 1;
  };
  const saved = (made: number) => {
    drafts.keep(name, null);
    guard(false);
    navigate(`/templates/${name}?version=${made}`);
  };
  const next = (template.latest_version ?? 0) + 1;
  return (
    <article class="editor">
      <Link to={`/templates/${name}`} class="back">
        ← {name}
      </Link>
      <header class="head">
        <div>
          <h1>{say.title(name)}</h1>
          <p class="sentence">{say.sentence(channelWord[template.channel ?? "email"], now.from, changed)}</p>
        </div>
        {changed && (
          <button type="button" onClick={() => (asked.value = "restart")}>
            {say.restart}
          </button>
        )}
        <button type="button" class="primary" disabled={!changed || !check.report} onClick={() => (again(), (asked.value = "save"))}>
          {say.save(next)}
        </button>
      </header>
      {found.current && <p class="notice">{say.goesOn}</p>}
      {(template.latest_version ?? 0) > now.latest && <p class="notice">{say.meanwhile(template.latest_version ?? 0)}</p>}
      {check.error && (
        <p role="alert" class="problem">
          {check.error.message}
        </p>
      )}
      <Languages draft={now} locale={locale} fallback={fallback} marks={marks} onDraft={set} />
      <Elsewhere marks={marks} draft={now} locale={locale} />
      <div class="desk">
        <Parts key={`${locale} ${turn.value}`} channel={template.channel} draft={now} locale={locale} marks={marks} onDraft={(change) => set(change(draft.value))} />
        <Preview
          name={name}
          title={say.preview}
          of={drafts.body(now)}
          locales={(check.report?.locales ?? []).map((one) => one.locale ?? "")}
          localeHint={locale}
          reader={{ locale: reader.value.locale || locale, timezone: reader.value.timezone ?? "", variables: reader.value.variables ?? sample(version) }}
          onReader={(changes) => (reader.value = { ...reader.value, ...changes })}
          onAnswer={(problem) => (rendering.value = problem)}
        />
      </div>
      {asked.value === "save" && check.report && <Save template={template} version={version} draft={now} report={check.report} onDone={saved} onClose={() => (asked.value = "")} />}
      {asked.value === "restart" && <Ask title={say.restartAsk} text={say.restartText(begun.current.from)} action={say.restart} danger onDo={restart} onClose={() => (asked.value = "")} />}
      {leaving.value && <Leave />}
    </article>
  );
}

interface Check {
  readonly report: LintContentsResponse | null; // null where it could be no version
  readonly violations: readonly Violation[];
  readonly error: ApiError | null; // what is wrong with no field
}

// What the gateway says of the draft, a moment after the last key.
function useCheck(template: Template, draft: Draft): Check {
  const check = useSignal<Check>({ report: null, violations: [], error: null });
  const asked = JSON.stringify(drafts.body(draft));
  useEffect(() => {
    let current = true;
    const timer = setTimeout(async () => {
      let next: Check;
      try {
        const report = await post<LintContentsResponse>("/v1/templates:lint", { channel: template.channel, default_locale: template.default_locale, ...drafts.body(draft) });
        next = { report, violations: [], error: null };
      } catch (caught) {
        const error = asApiError(caught);
        next = { report: null, violations: error.violations, error: error.violations.length ? null : error };
      }
      if (current) check.value = next;
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [asked]);
  return check.value;
}

interface LanguagesProps {
  readonly draft: Draft;
  readonly locale: string;
  readonly fallback: string;
  readonly marks: readonly Mark[];
  readonly onDraft: (draft: Draft) => void;
}

function Languages({ draft, locale, fallback, marks, onDraft }: LanguagesProps) {
  const wrong = (one: string) => marks.filter((mark) => mark.wrong && `${mark.field}.`.startsWith(`contents.${one}.`)).length;
  const add = (form: HTMLFormElement) => {
    const added = String(new FormData(form).get("locale") ?? "").trim();
    if (!added || added in draft.contents) return;
    onDraft(drafts.withLocale(draft, added, locale));
    setQuery({ locale: added });
    form.reset();
  };
  return (
    <section aria-label={say.languages}>
      <div class="languages">
        <div class="choices" role="group" aria-label={say.languages}>
          {Object.keys(draft.contents).map((one) => (
            <button key={one} type="button" aria-pressed={one === locale} onClick={() => setQuery({ locale: one })}>
              {one} {wrong(one) > 0 && <span class="problem">{say.wrong(wrong(one))}</span>}
            </button>
          ))}
        </div>
        <form class="search" onSubmit={(event) => (event.preventDefault(), add(event.currentTarget))}>
          <input name="locale" aria-label={say.newLanguage} placeholder="pt-BR" maxLength={35} autoComplete="off" spellcheck={false} />
          <button type="submit">{say.addLanguage}</button>
        </form>
        {locale !== fallback && (
          <button type="button" class="plain" onClick={() => (onDraft(drafts.withoutLocale(draft, locale)), setQuery({ locale: "" }))}>
            {say.dropLanguage(locale)}
          </button>
        )}
      </div>
      {Object.keys(draft.catalogs).length > 0 && <p class="quiet">{say.byCatalogue(Object.keys(draft.catalogs).join(", "))}</p>}
    </section>
  );
}

// What is wrong where it is not being looked at: in another language, in the schema, in what is no text.
function Elsewhere({ marks, draft, locale }: { readonly marks: readonly Mark[]; readonly draft: Draft; readonly locale: string }) {
  const here = new Set(["subject", "html", "mjml", "text", "title", "body"].map((part) => `contents.${locale}.${part}`));
  const rest = marks.filter((one) => !here.has(one.field) && !one.field.startsWith("variables."));
  if (rest.length === 0) return null;
  return (
    <section aria-label={say.elsewhere}>
      <h2>{say.elsewhere}</h2>
      <ul class="marks">
        {rest.map((one, place) => {
          const [, other] = /^contents\.([^.]+)/.exec(one.field) ?? [];
          return (
            <li key={place} class={one.wrong ? "problem" : ""}>
              {other && other !== locale && other in draft.contents && (
                <button type="button" class="plain" onClick={() => setQuery({ locale: other })}>
                  {other}
                </button>
              )}{" "}
              {one.text} <span class="quiet">{one.line ? `${one.field}:${one.line}` : one.field}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

interface PartsProps {
  readonly channel: Template["channel"];
  readonly draft: Draft;
  readonly locale: string;
  readonly marks: readonly Mark[];
  readonly onDraft: (change: (draft: Draft) => Draft) => void;
}

function Parts({ channel, draft, locale, marks, onDraft }: PartsProps) {
  const content = draft.contents[locale] ?? {};
  const markup: Part = content.mjml ? "mjml" : "html";
  const parts: readonly Part[] = channel === "push" ? ["title", "body"] : ["subject", markup, "text"];
  const other: Part = markup === "html" ? "mjml" : "html";
  return (
    <section aria-label={say.text(locale)}>
      <header class="head">
        <h2>{say.text(locale)}</h2>
        {channel !== "push" && (
          <button type="button" class="plain" disabled={!content[markup]} onClick={() => onDraft((now) => drafts.rename(now, locale, markup, other))}>
            {say.as(words.editor.parts[other])}
          </button>
        )}
      </header>
      {parts.map((part) => (
        <Code
          key={part}
          label={say.parts[part]}
          text={content[part] ?? ""}
          markup={part === "html" || part === "mjml"}
          marks={drafts.of(marks, locale, part)}
          onText={(text) => onDraft((now) => drafts.write(now, locale, part, text))}
        />
      ))}
      {channel === "push" && <p class="quiet">{say.keptParts}</p>}
    </section>
  );
}

interface SaveProps {
  readonly template: Template;
  readonly version: TemplateVersion | undefined;
  readonly draft: Draft;
  readonly report: LintContentsResponse;
  readonly onDone: (version: number) => void;
  readonly onClose: () => void;
}

function Save({ template, version, draft, report, onDone, onClose }: SaveProps) {
  const made = useRef(0);
  const path = `/v1/templates/${encodeURIComponent(template.name ?? "")}/versions`;
  const published = template.published_version ?? 0;
  const left = lacks(report, version);
  const save = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const why = String(given.get("note") ?? "").trim();
    const note = why ? { note: why } : {};
    const sender = draft.sender ? { sender: draft.sender } : {};
    // tried again after a refused publication, it is the same version
    made.current ||= (await post<TemplateVersion>(path, { ...drafts.body(draft), ...sender, ...note })).version ?? 0;
    if (given.has("publish")) await post(`${path}/${made.current}:publish`, { previous_version: published, ...note });
    onDone(made.current);
  };
  return (
    <Dialog title={say.saveAsk} action={say.saveIt} onDo={save} onClose={() => (made.current ? onDone(made.current) : onClose())}>
      <p>{left.length ? left.join(" ") : say.nothingMissing}</p>
      <label>
        {words.templates.note}
        <input name="note" maxLength={500} autoComplete="off" />
      </label>
      <label class="tick">
        <input type="checkbox" name="publish" />
        {say.publishToo}
      </label>
    </Dialog>
  );
}

function Leave() {
  const go = leaving.value;
  const leave = async () => {
    guard(false);
    go?.();
  };
  return <Ask title={say.leaveAsk} text={say.leaveText} action={say.leave} onDo={leave} onClose={() => (leaving.value = null)} />;
}
