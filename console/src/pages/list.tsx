import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, type ApiError } from "../api";
import type { ListNotificationsResponse, Notification } from "../api-types";
import { Empty, Failure, More, Skeleton, Status, Time, asApiError } from "../parts/basics";
import { FILTERS, Filters } from "../parts/filters";
import { Link, query } from "../router";
import { channelWord, words } from "../words";

const say = words.list;

export function List() {
  const rows = useSignal<readonly Notification[] | null>(null);
  const next = useSignal("");
  const error = useSignal<ApiError | null>(null);
  const turn = useSignal(0);
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? ""]));
  const key = JSON.stringify(filters);

  useEffect(() => {
    let current = true;
    error.value = null;
    get<ListNotificationsResponse>("/v1/notifications", { ...filters, page_size: 50 }).then(
      (page) => {
        if (!current) return;
        rows.value = page.notifications ?? [];
        next.value = page.next_page_token ?? "";
      },
      (problem) => {
        if (current) error.value = asApiError(problem);
      },
    );
    return () => {
      current = false;
    };
  }, [key, turn.value]);

  const more = async () => {
    try {
      const page = await get<ListNotificationsResponse>("/v1/notifications", { ...filters, page_size: 50, page_token: next.value });
      rows.value = [...(rows.value ?? []), ...(page.notifications ?? [])];
      next.value = page.next_page_token ?? "";
    } catch (problem) {
      error.value = asApiError(problem);
    }
  };

  return (
    <>
      <header class="head">
        <h1>{words.notifications}</h1>
        <button type="button" onClick={() => (turn.value += 1)}>
          {say.refresh}
        </button>
      </header>
      <Filters />
      {error.value ? (
        <Failure error={error.value} retry={() => (turn.value += 1)} />
      ) : rows.value === null ? (
        <Skeleton />
      ) : rows.value.length === 0 ? (
        <Empty title={say.empty} hint={say.emptyHint} />
      ) : (
        <>
          <Table rows={rows.value} />
          <More more={next.value ? () => void more() : null} />
        </>
      )}
    </>
  );
}

function Table({ rows }: { rows: readonly Notification[] }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.template}</th>
          <th scope="col">{say.status}</th>
          <th scope="col">{say.reason}</th>
          <th scope="col">{say.channel}</th>
          <th scope="col">{say.person}</th>
          <th scope="col" class="number">
            {say.attempts}
          </th>
          <th scope="col">{say.accepted}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id}>
            <td class="main">
              <Link to={`/notifications/${row.id}`} data-row>
                {row.template}
              </Link>
            </td>
            <td>
              <Status status={row.status} />
            </td>
            <td class="reason">{row.reason ? <code>{row.reason}</code> : <span class="quiet">–</span>}</td>
            <td>{row.channel && channelWord[row.channel]}</td>
            <td class="id" title={row.user_id}>
              {row.user_id}
            </td>
            <td class="number">{row.attempts}</td>
            <td>
              <Time iso={row.create_time} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
