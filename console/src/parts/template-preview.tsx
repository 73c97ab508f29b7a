// What a version, or what is none yet, says to someone: any locale, any values, rendered by the gateway as a send would.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { post, type ApiError } from "../api";
import type { PreviewTemplateResponse, TemplateVersion } from "../api-types";
import { may } from "../session";
import { words } from "../words";
import { Skeleton, asApiError } from "./basics";
import { find } from "./finding";
import { Message } from "./message";

const say = words.templates;
const TYPING_MS = 250;

// The values as they are written. Throws SyntaxError for what is no JSON object.
export function variablesOf(text: string): Record<string, unknown> {
  const read: unknown = JSON.parse(text || "{}");
  if (read === null || typeof read !== "object" || Array.isArray(read)) throw new SyntaxError(say.noObject);
  return read as Record<string, unknown>;
}

interface VariablesSchema {
  readonly properties?: Record<string, { readonly examples?: readonly unknown[]; readonly default?: unknown }>;
}

// Something for each variable, so that there is a picture at once: the examples of the schema where there are some.
export function sample(version: TemplateVersion | undefined): string {
  const described = (version?.variables_schema as VariablesSchema | undefined)?.properties ?? {};
  const names = new Set([...(version?.required_variables ?? []), ...Object.keys(described)]);
  const values = [...names].map((name) => [name, described[name]?.examples?.[0] ?? described[name]?.default ?? name]);
  return JSON.stringify(Object.fromEntries(values), null, 2);
}

// For whom it is rendered.
export interface Reader {
  readonly locale: string;
  readonly timezone: string;
  readonly variables: string;
}

interface PreviewProps {
  readonly name: string;
  readonly title: string;
  readonly of: object; // what the API is asked to render: a version, or contents
  readonly locales: readonly string[];
  readonly localeHint: string;
  readonly reader: Reader;
  readonly onReader: (changes: Partial<Reader>) => void;
  // Takes what is wrong with the contents, which is not said here then.
  readonly onAnswer?: (error: ApiError | null) => void;
}

export function Preview({ name, title, of, locales, localeHint, reader, onReader, onAnswer }: PreviewProps) {
  const shown = useSignal<PreviewTemplateResponse | null>(null);
  const error = useSignal<ApiError | null>(null);
  const { locale, timezone, variables } = reader;
  const asked = JSON.stringify(of);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(async () => {
      let problem: ApiError | null = null;
      try {
        const answer = await post<PreviewTemplateResponse>(`/v1/templates/${encodeURIComponent(name)}:preview`, { ...of, locale, timezone, variables: variablesOf(variables) });
        if (current) shown.value = answer;
      } catch (caught) {
        problem = asApiError(caught);
      }
      if (!current) return;
      error.value = problem;
      onAnswer?.(problem);
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [asked, locale, timezone, variables]);
  const answer = shown.value;
  const marked = onAnswer && error.value?.violations.length && error.value.violations.every((one) => one.field.startsWith("contents."));
  return (
    <section aria-labelledby="preview">
      <h2 id="preview">{title}</h2>
      <div class="preview">
        <form class="given" onSubmit={(event) => event.preventDefault()}>
          <label>
            {say.locale}
            <input list="locales" value={locale} placeholder={localeHint} autoComplete="off" onChange={(event) => onReader({ locale: event.currentTarget.value.trim() })} />
          </label>
          <datalist id="locales">
            {locales.map((one) => (
              <option key={one} value={one} />
            ))}
          </datalist>
          <label>
            {say.timezone}
            <input value={timezone} placeholder="UTC" autoComplete="off" onChange={(event) => onReader({ timezone: event.currentTarget.value.trim() })} />
          </label>
          {may("users:read") && <Someone variables={variables} onReader={onReader} />}
          <label>
            {say.values}
            <textarea rows={8} spellcheck={false} value={variables} onInput={(event) => onReader({ variables: event.currentTarget.value })} />
          </label>
          {error.value && !marked && (
            <p role="alert" class="problem">
              {error.value.message}
            </p>
          )}
          {marked && answer && <p class="quiet">{say.stale}</p>}
          {answer && !marked && (
            <p class="quiet" role="status">
              {say.used(answer.locale ?? "", answer.locale_chain ?? [])}
            </p>
          )}
        </form>
        {answer?.content ? <Message of={answer.content} /> : error.value ? <p class="quiet">{say.noPreview}</p> : <Skeleton rows={3} />}
      </div>
    </section>
  );
}

// Puts a person in the reader's place: their language, their time zone, and what templates may say of them.
function Someone({ variables, onReader }: Pick<PreviewProps, "onReader"> & { readonly variables: string }) {
  const problem = useSignal("");
  const look = async (wanted: string) => {
    problem.value = "";
    if (!wanted) return;
    try {
      const [person] = await find(wanted);
      if (person === undefined) {
        problem.value = say.noPerson;
        return;
      }
      const user = { ...person.attributes, name: person.name ?? "", locale: person.locale ?? "", timezone: person.timezone ?? "" };
      onReader({ locale: user.locale, timezone: user.timezone, variables: JSON.stringify({ ...variablesOf(variables), user }, null, 2) });
    } catch (caught) {
      problem.value = asApiError(caught).message;
    }
  };
  return (
    <label>
      {say.person}
      <input type="search" placeholder={say.personHint} autoComplete="off" spellcheck={false} onChange={(event) => void look(event.currentTarget.value.trim())} />
      {problem.value && (
        <span role="alert" class="problem">
          {problem.value}
        </span>
      )}
    </label>
  );
}
