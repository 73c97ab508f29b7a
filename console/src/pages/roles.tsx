// Roles: named sets of scopes, and who has which.
import { useSignal } from "@preact/signals";
import { patch, post, remove } from "../api";
import type { ListRolesResponse, OperatorRole } from "../api-types";
import { Ask, Dialog } from "../parts/basics";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { Link } from "../router";
import { claims, may } from "../session";
import { words } from "../words";

const say = words.roles;
const MOST_LISTED = 100; // people of a role that the API names

export function Roles() {
  const list = usePages<ListRolesResponse, OperatorRole>("/v1/roles", { page_size: 100 }, (page) => page.roles);
  const editing = useSignal<OperatorRole | "new" | null>(null);
  const removing = useSignal<OperatorRole | null>(null);
  return (
    <>
      <header class="head">
        <div>
          <h1>{say.title}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        {may("roles:write") && (
          <button type="button" class="primary" onClick={() => (editing.value = "new")}>
            {say.make}
          </button>
        )}
      </header>
      <Listed list={list} title={say.none} hint={say.noneHint} awaited={3}>
        {(rows) => <Table rows={rows} onEdit={(role) => (editing.value = role)} onRemove={(role) => (removing.value = role)} />}
      </Listed>
      {editing.value && <Edit of={editing.value === "new" ? null : editing.value} onDone={list.again} onClose={() => (editing.value = null)} />}
      {removing.value && (
        <Ask
          title={say.removeAsk(removing.value.id ?? "")}
          text={say.removeText}
          action={say.remove}
          danger
          onDo={async () => {
            await remove(pathOf(removing.value?.id ?? ""));
            list.again();
          }}
          onClose={() => (removing.value = null)}
        />
      )}
    </>
  );
}

const pathOf = (id: string) => `/v1/roles/${encodeURIComponent(id)}`;

// Of a key it is not known what it may do: the gateway decides.
const withinOwn = (role: OperatorRole) => (role.scopes ?? []).every((scope) => claims.value.scopes?.has(scope) ?? true);

interface TableProps {
  readonly rows: readonly OperatorRole[];
  readonly onEdit: (role: OperatorRole) => void;
  readonly onRemove: (role: OperatorRole) => void;
}

function Table({ rows, onEdit, onRemove }: TableProps) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.role}</th>
          <th scope="col">{say.description}</th>
          <th scope="col">{say.scopes}</th>
          <th scope="col">{say.people}</th>
          {may("roles:write") && <th scope="col">{say.change}</th>}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id}>
            <td class="name">{row.id}</td>
            <td class="words">{row.description || <span class="quiet">–</span>}</td>
            <td class="words scopes">
              {(row.scopes ?? []).map((scope) => (
                <code key={scope}>{scope}</code>
              ))}
            </td>
            <td class="words">
              <Holders ids={row.user_ids ?? []} />
            </td>
            {may("roles:write") && (
              <td>
                {withinOwn(row) ? (
                  <div class="row-actions">
                    <button type="button" data-row aria-label={`${say.change} ${row.id}`} onClick={() => onEdit(row)}>
                      {say.change}
                    </button>
                    <button type="button" class="danger" aria-label={`${say.remove} ${row.id}`} onClick={() => onRemove(row)}>
                      {say.remove}
                    </button>
                  </div>
                ) : (
                  <span class="quiet">{say.beyond}</span>
                )}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Holders({ ids }: { ids: readonly string[] }) {
  if (ids.length === 0) return <span class="quiet">{say.noPeople}</span>;
  if (!may("users:read")) return <>{ids.length < MOST_LISTED ? ids.length : say.manyPeople}</>;
  return (
    <details>
      <summary>{ids.length < MOST_LISTED ? ids.length : say.manyPeople}</summary>
      <ul class="plain-list">
        {ids.map((id) => (
          <li key={id}>
            <Link to={`/people/${id}`}>{id}</Link>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Edit({ of, onDone, onClose }: { of: OperatorRole | null; onDone: () => void; onClose: () => void }) {
  const save = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const role = { description: String(given.get("description") ?? ""), scopes: scopesOf(given) };
    if (of === null) await post("/v1/roles", { id: String(given.get("id") ?? "").trim(), ...role });
    else await patch(`${pathOf(of.id ?? "")}?update_mask=description,scopes`, role, of.etag);
    onDone();
  };
  return (
    <Dialog title={of === null ? say.make : say.changeAsk(of.id ?? "")} action={of === null ? say.makeIt : say.save} onDo={save} onClose={onClose}>
      {of === null ? (
        <label>
          {say.id}
          <input name="id" required maxLength={40} autoComplete="off" spellcheck={false} />
        </label>
      ) : (
        <p>{say.changeText}</p>
      )}
      <label>
        {say.descriptionLong}
        <input name="description" maxLength={200} autoComplete="off" defaultValue={of?.description ?? ""} />
      </label>
      <Scopes chosen={of?.scopes ?? []} />
    </Dialog>
  );
}

const scopesOf = (given: FormData): readonly string[] =>
  given.getAll("scopes").flatMap((value) => String(value).split(/[\s,]+/)).filter(Boolean);

// Who is signed in can give what they may do themselves; of a key that is not known, so that its scopes are written.
function Scopes({ chosen }: { chosen: readonly string[] }) {
  const own = claims.value.scopes;
  if (own === undefined) {
    return (
      <label>
        {say.scopesLong}
        <textarea name="scopes" rows={4} spellcheck={false} defaultValue={chosen.join(" ")} />
      </label>
    );
  }
  return (
    <fieldset class="ticks">
      <legend>{say.scopes}</legend>
      {[...own].sort().map((scope) => (
        <label key={scope} class="tick">
          <input type="checkbox" name="scopes" value={scope} defaultChecked={chosen.includes(scope)} />
          {scope}
        </label>
      ))}
    </fieldset>
  );
}
