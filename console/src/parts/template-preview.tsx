// What a version says to someone: any locale, any values, rendered by the gateway as a send would.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { post, type ApiError } from "../api";
import type { PreviewTemplateResponse, TemplateVersion } from "../api-types";
import { query, setQuery } from "../router";
import { words } from "../words";
import { Skeleton, asApiError } from "./basics";
import { Message } from "./message";

const say = words.templates;
const TYPING_MS = 250;

// The values as they are written. Throws SyntaxError for what is no JSON object.
export function variablesOf(text: string): Record<string, unknown> {
  const read: unknown = JSON.parse(text || "{}");
  if (read === null || typeof read !== "object" || Array.isArray(read)) throw new SyntaxError(say.noObject);
  return read as Record<string, unknown>;
}

interface PreviewProps {
  readonly name: string;
  readonly version: TemplateVersion;
  readonly variables: string;
  readonly onVariables: (text: string) => void;
}

export function Preview({ name, version, variables, onVariables }: PreviewProps) {
  const shown = useSignal<PreviewTemplateResponse | null>(null);
  const error = useSignal<ApiError | null>(null);
  const locale = query.value.get("locale") ?? "";
  const timezone = query.value.get("timezone") ?? "";
  useEffect(() => {
    let current = true;
    const timer = setTimeout(async () => {
      try {
        const answer = await post<PreviewTemplateResponse>(`/v1/templates/${encodeURIComponent(name)}:preview`, {
          version: version.version,
          locale,
          timezone,
          variables: variablesOf(variables),
        });
        if (current) [shown.value, error.value] = [answer, null];
      } catch (problem) {
        if (current) error.value = asApiError(problem);
      }
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [version.version, locale, timezone, variables]);
  const answer = shown.value;
  return (
    <section aria-labelledby="preview">
      <h2 id="preview">{say.preview(version.version ?? 0)}</h2>
      <div class="preview">
        <form class="given" onSubmit={(event) => event.preventDefault()}>
          <label>
            {say.locale}
            <input list="locales" value={locale} placeholder={say.localeHint} autoComplete="off" onChange={(event) => setQuery({ locale: event.currentTarget.value.trim() })} />
          </label>
          <datalist id="locales">
            {(version.locales ?? []).map((one) => (
              <option key={one.locale} value={one.locale} />
            ))}
          </datalist>
          <label>
            {say.timezone}
            <input value={timezone} placeholder="UTC" autoComplete="off" onChange={(event) => setQuery({ timezone: event.currentTarget.value.trim() })} />
          </label>
          <label>
            {say.values}
            <textarea rows={8} spellcheck={false} value={variables} onInput={(event) => onVariables(event.currentTarget.value)} />
          </label>
          {error.value && (
            <p role="alert" class="problem">
              {error.value.message}
            </p>
          )}
          {answer && (
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
