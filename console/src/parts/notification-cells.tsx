// What a table says of a notification: in the list of all, and of each change in the live feed.
import type { Notification } from "../api-types";
import { Link } from "../router";
import { channelWord } from "../words";
import { Status, Time } from "./basics";

interface NotificationCellsProps {
  readonly id: string | undefined;
  readonly of: Pick<Notification, "template" | "status" | "reason" | "channel" | "user_id">;
  readonly attempts: number | string | undefined;
  readonly time: string | undefined;
}

export function NotificationCells({ id, of, attempts, time }: NotificationCellsProps) {
  return (
    <>
      <td class="main">
        <Link to={`/notifications/${id}`} data-row>
          {of.template}
        </Link>
      </td>
      <td>
        <Status status={of.status} />
      </td>
      <td class="reason">{of.reason ? <code>{of.reason}</code> : <span class="quiet">–</span>}</td>
      <td>{of.channel && channelWord[of.channel]}</td>
      <td class="id" title={of.user_id}>
        {of.user_id}
      </td>
      <td class="number">{attempts}</td>
      <td>
        <Time iso={time} />
      </td>
    </>
  );
}
