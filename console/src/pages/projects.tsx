// The projects of this installation: make one with its first key, archive, restore, erase.
import { useSignal } from "@preact/signals";
import { post, remove } from "../api";
import type { CreateApiKeyResponse, DeleteProjectResponse, ListProjectsResponse, Project } from "../api-types";
import { MakeKey, ShownOnce } from "../parts/api-keys";
import { Ask, Dialog, Time } from "../parts/basics";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { FIRST_PROJECT, may } from "../session";
import { words } from "../words";

const say = words.projects;
// What a new project needs to begin with.
const FIRST_SCOPES = "users:write users:read templates:write templates:read notifications:send notifications:read apikeys:write";

type What = "key" | "archive" | "restore" | "erase";

export function Projects() {
  const list = usePages<ListProjectsResponse, Project>("/v1/projects", { page_size: 100 }, (page) => page.projects);
  const making = useSignal(false);
  const asking = useSignal<{ id: string; what: What } | null>(null);
  const key = useSignal<CreateApiKeyResponse | null>(null);
  const erased = useSignal<({ id: string } & DeleteProjectResponse) | null>(null);
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
        <button type="button" class="primary" onClick={() => (making.value = true)}>
          {say.make}
        </button>
      </header>
      {key.value && <ShownOnce of={key.value} />}
      {erased.value && (
        <p role="status" class="notice">
          {erased.value.completed ? say.erased(erased.value.id) : say.erasing(erased.value.id)} {say.saga} <code>{erased.value.saga_id}</code>
        </p>
      )}
      <Listed list={list} title={say.title} hint={say.lead} awaited={3}>
        {(rows) => <Table rows={rows} onAsk={(id, what) => (asking.value = { id, what })} />}
      </Listed>
      {making.value && <Make onDone={list.again} onClose={() => (making.value = false)} />}
      {asking.value?.what === "key" && (
        <MakeKey
          title={say.keyFor(asking.value.id)}
          project={asking.value.id}
          scopes={FIRST_SCOPES}
          onMade={(made) => (key.value = made)}
          onClose={() => (asking.value = null)}
        />
      )}
      {asking.value && asking.value.what !== "key" && (
        <Decide
          key={asking.value.what}
          id={asking.value.id}
          what={asking.value.what}
          onErased={(answer) => (erased.value = answer)}
          onDone={list.again}
          onClose={() => (asking.value = null)}
        />
      )}
    </>
  );
}

function Table({ rows, onAsk }: { rows: readonly Project[]; onAsk: (id: string, what: What) => void }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.project}</th>
          <th scope="col">{say.name}</th>
          <th scope="col">{say.since}</th>
          <th scope="col">{say.state}</th>
          <th scope="col">{words.roles.change}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id}>
            <td class="name">{row.id}</td>
            <td class="words">{row.display_name || <span class="quiet">–</span>}</td>
            <td>
              <Time iso={row.create_time} />
            </td>
            <td>
              {row.archive_time ? (
                <>
                  <span class="status paused">{say.archived}</span> <Time iso={row.archive_time} />
                </>
              ) : (
                <span class="status sent">{say.inUse}</span>
              )}
            </td>
            <td>{row.id === FIRST_PROJECT ? <span class="quiet">{say.first}</span> : <Actions of={row} onAsk={onAsk} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Actions({ of, onAsk }: { of: Project; onAsk: (id: string, what: What) => void }) {
  const offered: readonly What[] = of.archive_time ? ["restore", "erase"] : may("apikeys:admin") ? ["key", "archive"] : ["archive"];
  return (
    <div class="row-actions">
      {offered.map((what) => (
        <button key={what} type="button" data-row class={what === "archive" || what === "erase" ? "danger" : ""} aria-label={`${say[what]} ${of.id}`} onClick={() => onAsk(of.id ?? "", what)}>
          {say[what]}
        </button>
      ))}
    </div>
  );
}

function Make({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const make = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    await post("/v1/projects", { id: String(given.get("id") ?? "").trim(), display_name: String(given.get("name") ?? "").trim() });
    onDone();
  };
  return (
    <Dialog title={say.make} action={say.makeIt} onDo={make} onClose={onClose}>
      <label>
        {say.id}
        <input name="id" required maxLength={40} autoComplete="off" spellcheck={false} aria-describedby="project-hint" />
      </label>
      <p class="quiet" id="project-hint">
        {say.idHint}
      </p>
      <label>
        {say.name}
        <input name="name" maxLength={100} autoComplete="off" />
      </label>
    </Dialog>
  );
}

interface DecideProps {
  readonly id: string;
  readonly what: Exclude<What, "key">;
  readonly onErased: (answer: { id: string } & DeleteProjectResponse) => void;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

function Decide({ id, what, onErased, onDone, onClose }: DecideProps) {
  const path = `/v1/projects/${encodeURIComponent(id)}`;
  const decide = async () => {
    if (what === "erase") onErased({ id, ...(await remove<DeleteProjectResponse>(path)) });
    else await post(`${path}:${what}`);
    onDone();
  };
  const typed = what === "restore" ? {} : { note: say.typeId, expected: id };
  return <Ask title={say[`${what}Ask`](id)} text={say[`${what}Text`]} action={say[what]} danger={what !== "restore"} {...typed} onDo={decide} onClose={onClose} />;
}
