// The versions of a template, and what can be done with each: use it, try it, put it away.
import { post } from "../api";
import type { Canary, TemplateVersion } from "../api-types";
import { setQuery } from "../router";
import { may } from "../session";
import { words } from "../words";
import { Act } from "./act";
import { More, Time } from "./basics";
import type { Pages } from "./reading";
import { Who } from "./template-history";

const say = words.templates;

export type ToDo = "publish" | "try";

interface VersionsProps {
  readonly of: Pages<TemplateVersion>;
  readonly path: string; // of the template, in the API
  readonly chosen: number;
  readonly published: number;
  readonly canary: Canary | null; // the one that runs
  readonly showsArchived: boolean;
  readonly frozen: boolean; // whether the template is archived, so that no version comes into use
  readonly onAsk: (version: TemplateVersion, what: ToDo) => void;
}

export function Versions({ of, path, chosen, published, canary, showsArchived, frozen, onAsk }: VersionsProps) {
  return (
    <section aria-labelledby="versions">
      <div class="head">
        <h2 id="versions">{say.versions}</h2>
        <label class="tick">
          <input type="checkbox" checked={showsArchived} onChange={(event) => setQuery({ archived: event.currentTarget.checked ? "yes" : "" })} />
          {say.showArchived}
        </label>
      </div>
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">{say.version}</th>
            <th scope="col">{say.made}</th>
            <th scope="col">{say.by}</th>
            <th scope="col">{say.why}</th>
            <th scope="col">{say.locales}</th>
            <th scope="col">{say.variables}</th>
            <th scope="col">{say.use}</th>
          </tr>
        </thead>
        <tbody>
          {(of.rows ?? []).map((row) => (
            <tr key={row.version} aria-current={row.version === chosen ? "true" : undefined}>
              <td>
                <button type="button" class="plain" data-row aria-pressed={row.version === chosen} onClick={() => setQuery({ version: String(row.version) })}>
                  {say.number(row.version ?? 0)}
                </button>
              </td>
              <td>
                <Time iso={row.create_time} />
              </td>
              <td>
                <Who by={row.created_by} />
              </td>
              <td class="words">{row.note || <span class="quiet">–</span>}</td>
              <td class="words">{(row.locales ?? []).map((one) => one.locale).join(", ")}</td>
              <td class="words">{(row.required_variables ?? []).join(", ") || <span class="quiet">–</span>}</td>
              <td>
                <State row={row} published={published} canary={canary} />
                {may("templates:write") && !frozen && <Actions row={row} path={path} published={published} canary={canary} onAsk={onAsk} onDone={of.again} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More more={of.more} end={false} />
    </section>
  );
}

interface StateProps {
  readonly row: TemplateVersion;
  readonly published: number;
  readonly canary: Canary | null;
}

function State({ row, published, canary }: StateProps) {
  if (row.version === published) return <span class="status sent">{say.published}</span>;
  if (row.archive_time) return <span class="status paused">{say.archived}</span>;
  if (canary && canary.version === row.version) return <span class="status sending">{say.triedWith(canary.percent ?? 0)}</span>;
  return null;
}

interface ActionsProps extends StateProps {
  readonly path: string;
  readonly onAsk: (version: TemplateVersion, what: ToDo) => void;
  readonly onDone: () => void;
}

function Actions({ row, path, published, canary, onAsk, onDone }: ActionsProps) {
  const number = row.version ?? 0;
  if (number === published) return null;
  const at = `${path}/versions/${number}`;
  if (row.archive_time) return <Act label={say.restore} of={say.number(number)} onDo={() => post(`${at}:restore`, {}).then(onDone)} />;
  return (
    <div class="row-actions">
      <button type="button" onClick={() => onAsk(row, "publish")}>
        {number < published ? say.rollBack : say.publish}
      </button>
      {published > 0 && (canary === null || canary.version === number) && (
        <button type="button" aria-label={`${say.try} ${say.number(number)}`} onClick={() => onAsk(row, "try")}>
          {say.try}
        </button>
      )}
      {canary?.version !== number && <Act label={say.archive} of={say.number(number)} onDo={() => post(`${at}:archive`, {}).then(onDone)} />}
    </div>
  );
}
