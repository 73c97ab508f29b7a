// What is being written of a template and is no version yet. It is kept in this tab: neither a reload nor a session that ends loses it.
import type { Violation } from "./api";
import type { Content, Finding, TemplateVersion } from "./api-types";
import { claims, session } from "./session";

export interface Draft {
  readonly from: number; // the version that it began as; 0 for none
  readonly latest: number; // the newest version at that time
  readonly contents: Readonly<Record<string, Content>>;
  readonly catalogs: Readonly<Record<string, string>>;
  readonly variables_schema?: Record<string, unknown>;
  readonly sender?: string; // from whom its mails are; it is not changed here
}

// The parts that are written as text, with what may be HTML. The others of a push are kept as they are.
export type Part = "subject" | "html" | "mjml" | "text" | "title" | "body";

const KEPT = "clarion.draft:";

// By whom as well: the next one who signs in here may be someone else, in another project.
export const key = (name: string): string => `${KEPT}${claims.value.project ?? ""}:${claims.value.user ?? session.value?.token.slice(0, 16)}:${name}`;

export function keep(name: string, draft: Draft | null): void {
  if (draft === null) sessionStorage.removeItem(key(name));
  else sessionStorage.setItem(key(name), JSON.stringify(draft));
}

export function kept(name: string): Draft | null {
  return JSON.parse(sessionStorage.getItem(key(name)) ?? "null") as Draft | null;
}

// What stands in the fields of a dialog when the session ends by itself, under the key of who was signed in; but for secrets.
type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
type Kept = readonly [begun: string | boolean, written: string | boolean];
const fieldsOf = (form: HTMLFormElement) => [...form.elements].filter((one): one is Field => one.matches("input:not([type=password], [type=file]), select, textarea"));
const switched = (one: Field): one is HTMLInputElement => one instanceof HTMLInputElement && (one.type === "checkbox" || one.type === "radio");
const begun = (one: Field) => (switched(one) ? one.defaultChecked : one instanceof HTMLSelectElement ? "" : one.defaultValue);

export function keepFields(place: string, form: HTMLFormElement): void {
  const all: readonly Kept[] = fieldsOf(form).map((one) => [begun(one), switched(one) ? one.checked : one.value]);
  if (all.length) sessionStorage.setItem(place, JSON.stringify(all));
}

// Once, in a dialog that was opened again. Each field hears of it as if it were typed; one that begins with something else by now stays as it is.
export function fillFields(place: string, form: HTMLFormElement): void {
  const all = JSON.parse(sessionStorage.getItem(place) ?? "[]") as readonly Kept[];
  sessionStorage.removeItem(place);
  fieldsOf(form).forEach((one, index) => {
    const [before, written] = all[index] ?? [];
    if (written === undefined || before !== begun(one)) return;
    if (switched(one)) one.checked = written === true;
    else one.value = String(written);
    for (const type of ["input", "change"]) one.dispatchEvent(new Event(type, { bubbles: true }));
  });
}

export function forgetAll(): void {
  for (const one of Object.keys(sessionStorage)) if (one.startsWith(KEPT)) sessionStorage.removeItem(one);
}

export function begin(version: TemplateVersion | undefined, locale: string, latest: number): Draft {
  const schema = version?.variables_schema;
  return {
    from: version?.version ?? 0,
    latest,
    contents: Object.fromEntries(Object.entries(version?.contents ?? { [locale]: {} }).map(([name, content]) => [name, given(content)])),
    catalogs: version?.catalogs ?? {},
    ...(schema && Object.keys(schema).length ? { variables_schema: schema } : {}),
    ...(version?.sender ? { sender: version.sender } : {}),
  };
}

// Without the fields that say nothing, which the API answers too.
const given = (content: Content): Content => Object.fromEntries(Object.entries(content).filter(([, value]) => (typeof value === "object" ? Object.keys(value).length > 0 : value)));

// What the API takes of it.
export const body = ({ contents, catalogs, variables_schema }: Draft) => ({ contents, catalogs, ...(variables_schema ? { variables_schema } : {}) });

export function write(draft: Draft, locale: string, part: Part, text: string): Draft {
  const content = { ...draft.contents[locale], [part]: text };
  if (!text) delete content[part];
  return { ...draft, contents: { ...draft.contents, [locale]: content } };
}

// HTML as MJML or the other way round: the text stays, for its author to change.
export function rename(draft: Draft, locale: string, from: Part, to: Part): Draft {
  return write(write(draft, locale, from, ""), locale, to, draft.contents[locale]?.[from] ?? "");
}

export function withLocale(draft: Draft, locale: string, like: string): Draft {
  return { ...draft, contents: { ...draft.contents, [locale]: draft.contents[like] ?? {} } };
}

export function withoutLocale(draft: Draft, locale: string): Draft {
  const { [locale]: _, ...contents } = draft.contents;
  return { ...draft, contents };
}

// Something to be said at a place of the draft. A line of 0 is the whole part.
export interface Mark {
  readonly field: string;
  readonly line: number;
  readonly text: string;
  readonly wrong: boolean; // else it had better be otherwise
}

export function marksOf(violations: readonly Violation[], findings: readonly Finding[]): readonly Mark[] {
  const wrong = violations.map(({ field, description }) => {
    const [, line, text] = /^line (\d+): ([^]*)$/.exec(description) ?? ["", "0", description];
    return { field, line: Number(line), text: text ?? "", wrong: true };
  });
  const better = findings.map((one) => ({ field: one.field ?? "", line: one.line ?? 0, text: one.description ?? "", wrong: false }));
  const all = [...wrong, ...better];
  // a preview finds what the check finds, too
  return all.filter((one, place) => all.findIndex((other) => other.field === one.field && other.line === one.line && other.text === one.text) === place);
}

export const of = (marks: readonly Mark[], locale: string, part: Part) => marks.filter((one) => one.field === `contents.${locale}.${part}`);
