import { useSignal } from "@preact/signals";
import { post } from "../api";
import type { ListWebhookDeliveriesResponse, ReplayWebhookDeliveriesResponse, WebhookAttempt, WebhookDelivery, WebhookEndpoint } from "../api-types";
import { Failure, More, Skeleton, Time, asApiError } from "../parts/basics";
import { useOnce, usePages, useRead } from "../parts/reading";
import { Link } from "../router";
import { may } from "../session";
import { words } from "../words";

const say = words.operate;

const answerOf = (attempt: WebhookAttempt) => (attempt.status ? say.answered(attempt.status) : say.noAnswer(attempt.reason ?? ""));

export function Webhook({ id }: { id: string }) {
  const path = `/v1/webhook-endpoints/${encodeURIComponent(id)}`;
  const read = useRead<WebhookEndpoint>(path);
  const list = usePages<ListWebhookDeliveriesResponse, WebhookDelivery>(`${path}/deliveries`, {}, (page) => page.deliveries);
  const said = useSignal("");
  const act = useOnce(async (doing: () => Promise<string>) => {
    try {
      said.value = await doing();
    } catch (problem) {
      said.value = asApiError(problem).message;
    }
    read.again();
    list.again();
  });
  const replay = (which: object) =>
    act(async () => say.replayed(Number((await post<ReplayWebhookDeliveriesResponse>(`${path}:replay`, which)).replayed_count ?? 0)));
  const test = () => act(async () => say.tested(answerOf(await post<WebhookAttempt>(`${path}:test`, {}))));
  const error = read.error ?? list.error;
  if (error) return <Failure alone error={error} retry={() => (read.again(), list.again())} />;
  const one = read.value;
  if (one === null || list.rows === null) return <Skeleton />;
  return (
    <article>
      <Link to="/operate" class="back">
        ← {say.back}
      </Link>
      <header class="head">
        <div>
          <h1 class="words">{one.url}</h1>
          <p class="sentence">
            <span class={`status ${one.state}`}>{one.state && say.webhookStates[one.state]}</span> {one.state_reason} {one.description}
          </p>
        </div>
        {may("webhooks:write") && (
          <div class="row-actions">
            <button type="button" onClick={test}>
              {say.test}
            </button>
            <button type="button" onClick={() => replay({ state: "failed" })}>
              {say.replayFailed}
            </button>
          </div>
        )}
      </header>
      <p role="status" class={said.value ? "notice" : undefined}>
        {said.value}
      </p>
      <section aria-label={say.deliveries}>
        <h2>{say.deliveries}</h2>
        {list.rows.length === 0 ? <p class="quiet">{say.noDelivery}</p> : <Deliveries rows={list.rows} onReplay={(delivery) => replay({ delivery_ids: [delivery] })} />}
        <More more={list.more} end={false} />
      </section>
    </article>
  );
}

function Deliveries({ rows, onReplay }: { rows: readonly WebhookDelivery[]; onReplay: (id: string) => void }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.delivery}</th>
          <th scope="col">{say.state}</th>
          <th scope="col">{say.tries}</th>
          <th scope="col">{say.lastTry}</th>
          <th scope="col">{say.next}</th>
          <th scope="col">{say.replay}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => {
          const attempts = row.attempts ?? [];
          return (
            <tr key={row.id}>
              <td>
                {row.notification_id ? <Link to={`/notifications/${row.notification_id}`}>{row.type}</Link> : row.type}
              </td>
              <td>
                <span class={`status ${row.state}`}>{row.state && say.deliveryStates[row.state]}</span>
              </td>
              <td>
                <details>
                  <summary>{attempts.length}</summary>
                  <ol class="plain-list">
                    {attempts.map((attempt, index) => (
                      <li key={index}>
                        <Time iso={attempt.time} /> {answerOf(attempt)} {attempt.duration} <span class="words">{attempt.reply}</span>
                      </li>
                    ))}
                  </ol>
                </details>
              </td>
              <td class="words">{attempts.at(-1) && answerOf(attempts.at(-1) as WebhookAttempt)}</td>
              <td>
                <Time iso={row.state === "waiting" ? row.next_attempt_time : undefined} />
              </td>
              <td>
                {may("webhooks:write") && row.notification_id && (
                  <button type="button" onClick={() => onReplay(row.id ?? "")}>
                    {say.replay}
                  </button>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
