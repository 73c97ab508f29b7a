import type { Content, TemplateVersion } from "../api-types";
import { diff } from "../diff";
import { query, setQuery } from "../router";
import { words } from "../words";

const say = words.templates;

// What a version says differently from another one, for each locale and part that differs.
export function Diff({ version, others }: { version: TemplateVersion; others: readonly TemplateVersion[] }) {
  const candidates = others.filter((one) => one.version !== version.version);
  const wanted = Number(query.value.get("against"));
  const other = candidates.find((one) => one.version === wanted) ?? candidates.find((one) => (one.version ?? 0) < (version.version ?? 0)) ?? candidates[0];
  if (!other) return null;
  const parts = differing(other, version);
  return (
    <section aria-labelledby="diff">
      <h2 id="diff">{say.diff}</h2>
      <label class="against">
        {say.against}
        <select value={String(other.version)} onChange={(event) => setQuery({ against: event.currentTarget.value })}>
          {candidates.map((one) => (
            <option key={one.version} value={String(one.version)}>
              {say.number(one.version ?? 0)}
            </option>
          ))}
        </select>
      </label>
      {parts.length === 0 && <p class="quiet">{say.noDiff}</p>}
      {parts.map(([title, before, after]) => (
        <div key={title} class="diff">
          <h3>{title}</h3>
          <pre tabIndex={0}>
            {diff(before, after).map((line, index) => (
              <span key={index} class={line.kind}>
                {line.kind === "same" ? "  " : line.kind === "new" ? "+ " : "- "}
                {line.text}
                {"\n"}
              </span>
            ))}
          </pre>
        </div>
      ))}
    </section>
  );
}

function differing(before: TemplateVersion, after: TemplateVersion): [string, string, string][] {
  const found: [string, string, string][] = [];
  const compare = (title: string, one: string, other: string) => one !== other && found.push([title, one, other]);
  for (const locale of keys(before.contents, after.contents)) {
    const [one, other] = [before.contents?.[locale] ?? {}, after.contents?.[locale] ?? {}];
    for (const part of keys(one, other) as (keyof Content)[]) compare(`${locale} · ${part}`, textOf(one[part]), textOf(other[part]));
  }
  for (const locale of keys(before.catalogs, after.catalogs)) compare(`${locale} · ${say.catalogue}`, before.catalogs?.[locale] ?? "", after.catalogs?.[locale] ?? "");
  compare(say.schema, textOf(before.variables_schema), textOf(after.variables_schema));
  return found;
}

const keys = (...from: (object | undefined)[]) => [...new Set(from.flatMap((one) => Object.keys(one ?? {})))].sort();

const textOf = (value: unknown) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));
