import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { ApiError } from "../api";
import type { ListUsersResponse, User } from "../api-types";
import { Empty, Failure, More, Skeleton, Time, asApiError } from "../parts/basics";
import { find } from "../parts/finding";
import { usePages } from "../parts/reading";
import { Link, query, setQuery } from "../router";
import { words } from "../words";

const say = words.people;

export function People() {
  const wanted = query.value.get("q") ?? "";
  return (
    <>
      <header class="head">
        <div>
          <h1>{words.peopleTitle}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
      </header>
      <form
        class="search"
        role="search"
        onSubmit={(event) => (event.preventDefault(), setQuery({ q: String(new FormData(event.currentTarget).get("q") ?? "").trim() }))}
      >
        <label>
          {say.search}
          <input key={wanted} name="q" type="search" data-first-filter defaultValue={wanted} placeholder={say.searchHint} autoComplete="off" spellcheck={false} />
        </label>
        <button type="submit">{say.find}</button>
      </form>
      {wanted ? <Found key={wanted} wanted={wanted} /> : <All />}
    </>
  );
}

function All() {
  const list = usePages<ListUsersResponse, User>("/v1/users", { page_size: 50 }, (page) => page.users);
  if (list.error) return <Failure error={list.error} retry={list.again} />;
  if (list.rows === null) return <Skeleton />;
  if (list.rows.length === 0) return <Empty title={say.none} hint={say.noneHint} />;
  return (
    <>
      <Table rows={list.rows} />
      <More more={list.more} />
    </>
  );
}

function Found({ wanted }: { wanted: string }) {
  const rows = useSignal<readonly User[] | null>(null);
  const error = useSignal<ApiError | null>(null);
  const turn = useSignal(0);
  useEffect(() => {
    let current = true;
    error.value = null;
    find(wanted).then(
      (found) => current && (rows.value = found),
      (problem) => current && (error.value = asApiError(problem)),
    );
    return () => {
      current = false;
    };
  }, [turn.value]);
  if (error.value) return <Failure error={error.value} retry={() => (turn.value += 1)} />;
  if (rows.value === null) return <Skeleton rows={1} />;
  if (rows.value.length === 0) return <Empty title={say.noMatch} hint={say.noMatchHint} />;
  return <Table rows={rows.value} />;
}

function Table({ rows }: { rows: readonly User[] }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.address}</th>
          <th scope="col">{say.name}</th>
          <th scope="col">{say.ownId}</th>
          <th scope="col">{say.language}</th>
          <th scope="col">{say.since}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id}>
            <td class="main words">
              <Link to={`/people/${row.id}`} data-row>
                {row.email || row.id}
              </Link>
            </td>
            <td class="words">{row.name || <span class="quiet">–</span>}</td>
            <td class="words">{row.external_id || <span class="quiet">–</span>}</td>
            <td>{row.locale}</td>
            <td>
              <Time iso={row.create_time} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
