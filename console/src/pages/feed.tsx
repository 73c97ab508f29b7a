import { useSignal } from "@preact/signals";
import { Component } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { follow, withQuery, type ApiError } from "../api";
import type { Change, WatchChangesResponse } from "../api-types";
import { Empty, Failure } from "../parts/basics";
import { FILTERS, Filters } from "../parts/filters";
import { NotificationCells } from "../parts/notification-cells";
import { query } from "../router";
import { words } from "../words";

const say = words.feed;
const SHOW_MS = 100; // more pictures a second say no more to the eye
const KEPT = 300; // rows in the page; older ones are in the list of notifications

export function Feed() {
  const rows = useSignal<readonly Change[]>([]);
  const held = useSignal<readonly Change[]>([]);
  const paused = useSignal(false);
  const state = useSignal<"connecting" | "live" | "lost">("connecting");
  const error = useSignal<ApiError | null>(null);
  const arrived = useRef<Change[]>([]);
  const chosen = Object.fromEntries(FILTERS.map((name) => [name === "status" ? "statuses" : name, query.value.get(name) ?? ""]));
  const key = JSON.stringify(chosen);

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    rows.value = held.value = arrived.current = [];
    error.value = null;
    // many changes at once are one picture; rows never move under someone who reads further down
    const show = () => {
      timer = 0;
      const fresh = arrived.current.splice(0).reverse();
      if (paused.value || window.scrollY > 80) held.value = [...fresh, ...held.value].slice(0, KEPT);
      else rows.value = [...fresh, ...held.value, ...rows.value].slice(0, KEPT);
      if (!paused.value && window.scrollY <= 80) held.value = [];
    };
    void follow<WatchChangesResponse>({
      path: (cursor) => withQuery("/v1/changes:watch", { ...chosen, cursor }),
      onMessage: ({ change }) => {
        if (!change?.cursor) return;
        arrived.current.push(change);
        if (arrived.current.length > KEPT) arrived.current.shift();
        timer ||= window.setTimeout(show, SHOW_MS);
      },
      onState: (next) => (state.value = next),
      onRefused: (problem) => (error.value = problem),
      signal: stop.signal,
    });
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key]);

  const showHeld = () => {
    rows.value = [...held.value, ...rows.value].slice(0, KEPT);
    held.value = [];
    window.scrollTo(0, 0);
  };
  const toggle = () => {
    paused.value = !paused.value;
    if (!paused.value) showHeld();
  };
  const shown = paused.value ? "paused" : state.value;

  return (
    <>
      <header class="head">
        <div>
          <h1>{words.live}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <span class={`beacon ${shown}`} role="status">
          {{ connecting: say.connecting, live: say.connected, lost: say.lost, paused: say.paused }[shown]}
        </span>
        <button type="button" data-pause aria-pressed={paused.value} onClick={toggle}>
          {paused.value ? say.resume : say.pause}
        </button>
      </header>
      <Filters />
      {held.value.length > 0 && (
        <button type="button" class="fresh" onClick={showHeld}>
          {say.fresh(held.value.length)}
        </button>
      )}
      {error.value ? (
        <Failure error={error.value} />
      ) : rows.value.length === 0 ? (
        <Empty title={say.empty} hint={say.emptyHint} />
      ) : (
        <Table rows={rows.value} />
      )}
    </>
  );
}

function Table({ rows }: { rows: readonly Change[] }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{words.list.template}</th>
          <th scope="col">{say.change}</th>
          <th scope="col">{words.list.reason}</th>
          <th scope="col">{words.list.channel}</th>
          <th scope="col">{words.list.person}</th>
          <th scope="col" class="number">
            {words.one.try}
          </th>
          <th scope="col">{say.time}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={row.cursor} row={row} />
        ))}
      </tbody>
    </table>
  );
}

// A change never changes: what is drawn already is left alone while others come above it.
class Row extends Component<{ readonly row: Change }> {
  override shouldComponentUpdate(next: { readonly row: Change }) {
    return next.row !== this.props.row;
  }

  override render({ row }: { readonly row: Change }) {
    return (
      <tr>
        <NotificationCells id={row.notification_id} of={row} attempts={row.attempt || "–"} time={row.time} />
      </tr>
    );
  }
}
