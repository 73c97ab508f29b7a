// Who did what to accounts, keys and personal data. Nothing here changes anything, and no entry can be changed.
import type { AuditEvent, ListAuditEventsResponse } from "../api-types";
import { Copy, Time } from "../parts/basics";
import { TextFilter } from "../parts/filters";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { Link, query, setQuery } from "../router";
import { may } from "../session";
import { auditWord, words } from "../words";

const say = words.audit;
const FILTERS = ["kind", "actor", "subject", "since", "until"] as const;

export function Audit() {
  const chosen = (name: (typeof FILTERS)[number]) => query.value.get(name) ?? "";
  const list = usePages<ListAuditEventsResponse, AuditEvent>(
    "/v1/audit-events",
    { kinds: chosen("kind"), actor: chosen("actor"), subject: chosen("subject"), start_time: startOf(chosen("since"), 0), end_time: startOf(chosen("until"), 1), page_size: 50 },
    (page) => page.audit_events,
  );
  return (
    <>
      <header class="head">
        <div>
          <h1>{say.title}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <button type="button" onClick={list.again}>
          {words.list.refresh}
        </button>
      </header>
      <form class="filters" role="search" aria-label={say.filters} onSubmit={(event) => event.preventDefault()}>
        <label>
          {say.what}
          <select data-first-filter value={chosen("kind")} onChange={(event) => setQuery({ kind: event.currentTarget.value })}>
            <option value="">{words.list.any}</option>
            {Object.entries(auditWord).map(([kind, word]) => (
              <option key={kind} value={kind}>
                {word}
              </option>
            ))}
          </select>
        </label>
        <TextFilter name="actor" label={say.actor} hint="user:… api_key:…" />
        <TextFilter name="subject" label={say.subject} hint="user:… category:…" />
        <Day name="since" />
        <Day name="until" />
        {FILTERS.some(chosen) && (
          <button type="button" class="plain" onClick={() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>
            {words.list.clear}
          </button>
        )}
      </form>
      <Listed list={list} title={say.empty} hint={say.emptyHint}>
        {(rows) => <Table rows={rows} />}
      </Listed>
    </>
  );
}

function Day({ name }: { name: "since" | "until" }) {
  return (
    <label>
      {say[name]}
      <input type="date" value={query.value.get(name) ?? ""} onChange={(event) => setQuery({ [name]: event.currentTarget.value })} />
    </label>
  );
}

// The beginning of a day of the viewer's, `later` days after it; nothing for what is no day.
function startOf(day: string, later: number): string {
  const [year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day)?.slice(1).map(Number) ?? [];
  if (year === undefined || month === undefined || date === undefined) return "";
  return new Date(year, month - 1, date + later).toISOString();
}

function Table({ rows }: { rows: readonly AuditEvent[] }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.when}</th>
          <th scope="col">{say.what}</th>
          <th scope="col">{say.actor}</th>
          <th scope="col">{say.subject}</th>
          <th scope="col">{say.details}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id}>
            <td>
              <Time iso={row.time} />
            </td>
            <td>{row.kind && (auditWord[row.kind] ?? row.kind.replaceAll("_", " "))}</td>
            <td class="words">
              <Someone id={row.actor} as="actor" />
            </td>
            <td class="words">
              <Someone id={row.subject} as="subject" />
            </td>
            <td class="words">
              {Object.entries(row.details ?? {}).map(([name, value]) => (
                <p key={name}>
                  <span class="quiet">{name}</span> {value}
                </p>
              ))}
              {row.correlation_id && (
                <p class="quiet">
                  <code>{row.correlation_id}</code> <Copy text={row.correlation_id} label={words.correlation} />
                </p>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// A person has a page; whatever it is, all that it did or that was done to it is one click away.
function Someone({ id, as }: { id: string | undefined; as: "actor" | "subject" }) {
  if (!id) return <span class="quiet">–</span>;
  const [kind, name = ""] = id.split(":", 2);
  return (
    <>
      {kind === "user" && may("users:read") ? <Link to={`/people/${name}`}>{id}</Link> : id}{" "}
      <button type="button" class="copy" aria-label={say.only[as](id)} onClick={() => setQuery({ [as]: id })}>
        {say.filter}
      </button>
    </>
  );
}
