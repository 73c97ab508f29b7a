// Which versions of a template came into use: when, by whom, why, and in place of which.
import type { Publication } from "../api-types";
import { Link } from "../router";
import { may } from "../session";
import { words } from "../words";
import { Failure, More, Skeleton, Time } from "./basics";
import type { Pages } from "./reading";

const say = words.templates;

// The API names who did something as "user:<id>" or "api_key:<id>"; empty for what was done before it was kept.
export function Who({ by }: { readonly by: string | undefined }) {
  if (!by) return <span class="quiet">–</span>;
  const [kind = "", id = ""] = by.split(":", 2);
  if (kind !== "user") return <span class="words">{say.key(id || by)}</span>;
  return may("users:read") ? <Link to={`/people/${id}`}>{id}</Link> : <span class="words">{id}</span>;
}

export function History({ of }: { readonly of: Pages<Publication> }) {
  return (
    <section aria-labelledby="history">
      <h2 id="history">{say.history}</h2>
      {of.error ? (
        <Failure error={of.error} retry={of.again} />
      ) : of.rows === null ? (
        <Skeleton rows={2} />
      ) : of.rows.length === 0 ? (
        <p class="quiet">{say.noHistory}</p>
      ) : (
        <>
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{say.when}</th>
                <th scope="col">{say.came}</th>
                <th scope="col">{say.by}</th>
                <th scope="col">{say.why}</th>
              </tr>
            </thead>
            <tbody>
              {of.rows.map((row, index) => (
                <tr key={index}>
                  <td>
                    <Time iso={row.publish_time} />
                  </td>
                  <td>{say.cameWords(row.version ?? 0, row.previous_version ?? 0)}</td>
                  <td>
                    <Who by={row.published_by} />
                  </td>
                  <td class="words">{row.note || <span class="quiet">–</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More more={of.more} end={false} />
        </>
      )}
    </section>
  );
}
