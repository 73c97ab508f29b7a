import type { ListNotificationsResponse, Notification } from "../api-types";
import { FILTERS, Filters } from "../parts/filters";
import { Listed } from "../parts/listed";
import { NotificationCells } from "../parts/notification-cells";
import { usePages } from "../parts/reading";
import { query } from "../router";
import { words } from "../words";

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
            <NotificationCells id={row.id} of={row} attempts={row.attempts} time={row.create_time} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}
