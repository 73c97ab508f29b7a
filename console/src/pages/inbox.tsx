import { useEffect, useMemo } from "preact/hooks";
import { follow, withQuery } from "../api";
import type { CapturedMessage, ListNotificationsResponse, Notification, WatchChangesResponse } from "../api-types";
import { Empty, Failure, Skeleton, Status, Time } from "../parts/basics";
import { FILTERS, Filters } from "../parts/filters";
import { Message } from "../parts/message";
import { usePages, useRead } from "../parts/reading";
import { TryOutcome } from "../parts/try-outcome";
import { Link, navigate, query } from "../router";
import { ahead, now } from "../times";
import { channelWord, words } from "../words";

const say = words.inbox;
const DAY_MS = 86_400_000; // how long the sandbox keeps messages
const MOMENT_MS = 300;

// What the sandbox got in place of a provider, newest first, as it arrives.
export function Inbox({ id }: { id: string | undefined }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.value.get(name) ?? ""]));
  // fixed while the page is open: a page token holds for the same filters only
  const since = useMemo(() => new Date(now() - DAY_MS).toISOString(), [ahead.value]);
  const list = usePages<ListNotificationsResponse, Notification>(
    "/v1/notifications",
    { ...filters, test: "true", created_after: since, page_size: 50 },
    (page) => page.notifications,
  );
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    void follow<WatchChangesResponse>({
      path: (cursor) => withQuery("/v1/changes:watch", { cursor }),
      onMessage: ({ change }) => {
        if (!change?.test || timer) return;
        timer = window.setTimeout(() => ((timer = 0), list.again()), MOMENT_MS);
      },
      onState: (state) => state === "live" && list.again(), // what came before the stream was open
      onRefused: () => undefined, // the list says it
      signal: stop.signal,
    });
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, []);
  return (
    <>
      <header class="head">
        <div>
          <h1>{words.inboxTitle}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <TryOutcome />
      </header>
      <Filters />
      {list.error ? (
        <Failure error={list.error} retry={list.again} />
      ) : list.rows === null ? (
        <Skeleton />
      ) : list.rows.length === 0 && id === undefined ? (
        <Empty title={say.empty} hint={say.emptyHint} />
      ) : (
        <div class="review wide">
          <div class="groups">
            <Rows rows={list.rows} chosen={id} />
            {list.more && (
              <button type="button" onClick={list.more}>
                {words.list.more}
              </button>
            )}
          </div>
          {id ? (
            <Captured key={id} id={id} settled={list.rows.find((row) => row.id === id)?.update_time} />
          ) : (
            <div class="letter">
              <p class="quiet">{words.review.choose}</p>
            </div>
          )}
        </div>
      )}
    </>
  );
}

function Rows({ rows, chosen }: { rows: readonly Notification[]; chosen: string | undefined }) {
  return (
    <ul class="letters">
      {rows.map((row) => {
        const to = `/inbox/${row.id}${window.location.search}`;
        return (
          <li key={row.id}>
            <Link to={to} data-row aria-current={row.id === chosen ? "true" : undefined} onFocus={() => navigate(to, { replace: true })}>
              <span class="name">{row.template}</span>
              <Status status={row.status} />
              <span class="quiet">{row.channel && channelWord[row.channel]}</span>
              <Time iso={row.create_time} />
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

// `settled` changes with the notification, which is read again then: each attempt replaces the message.
function Captured({ id, settled }: { id: string; settled: string | undefined }) {
  const read = useRead<CapturedMessage>(`/v1/notifications/${encodeURIComponent(id)}/captured-message`);
  useEffect(() => {
    if (settled) read.again();
  }, [settled]);
  const one = read.value;
  if (read.error?.status === 404) {
    return (
      <div class="letter">
        <p class="quiet">{say.nothing}</p>
        <p>
          <Link to={`/notifications/${id}`}>{words.review.story}</Link>
        </p>
      </div>
    );
  }
  if (read.error) return <Failure error={read.error} retry={read.again} />;
  if (one === null) return <Skeleton rows={4} />;
  const chain = one.locale_chain ?? [];
  return (
    <section class="letter" aria-label={say.one}>
      <p class="quiet">
        {say.to} <b>{one.email || say.devices((one.device_ids ?? []).length)}</b>
        {one.sender?.email && (
          <>
            {" "}
            · {words.one.text.from} {one.sender.display_name} {one.sender.email}
          </>
        )}{" "}
        · {chain.length > 1 ? words.templates.used(one.locale ?? "", chain) : one.locale} · {say.attempt(one.attempt ?? 1)} · <Time iso={one.time} />
      </p>
      <p>
        {say.answer} <code>{one.answer}</code> · <Link to={`/notifications/${id}`}>{words.review.story}</Link>
      </p>
      {one.content && <Message of={one.content} />}
      {(one.attachments ?? []).length > 0 && (
        <ul class="plain-list" aria-label={say.files}>
          {one.attachments?.map((file, place) => (
            <li key={place} class="words">
              {file.filename} <span class="quiet">{say.file(file.content_type ?? "", file.size_bytes ?? 0, Boolean(file.content_id))}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
