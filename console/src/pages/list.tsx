import type { ListNotificationsResponse, Notification } from "../api-types";
import { Status, Time } from "../parts/basics";
import { FILTERS, Filters } from "../parts/filters";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { Link, query } from "../router";
import { channelWord, words } from "../words";

const say = words.list;

export function List() {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? ""]));
  const list = usePages<ListNotificationsResponse, Notification>("/v1/notifications", { ...filters, page_size: 50 }, (page) => page.notifications);
  return (
    <>
      <header class="head">
        <h1>{words.notifications}</h1>
        <button type="button" onClick={list.again}>
          {say.refresh}
        </button>
      </header>
      <Filters />
      <Listed list={list} title={say.empty} hint={say.emptyHint}>
        {(rows) => <Table rows={rows} />}
      </Listed>
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
