import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ActivityCounts, ActivityPoint, GetActivityResponse, Latency, ListProblemsResponse, ListQueuesResponse, Queue } from "../api-types";
import { Empty, Failure, Skeleton, Time } from "../parts/basics";
import { useRead } from "../parts/reading";
import { Part } from "../parts/section";
import { Link, navigate, query } from "../router";
import { inFirstProject, testMode } from "../session";
import { ahead, duration, now } from "../times";
import { channelWord, words } from "../words";

const say = words.overview;
const HOURS: Readonly<Record<string, number>> = { hour: 1, day: 24, week: 168, month: 720 };
const COUNTS = ["accepted", "sent", "failed", "skipped", "expired", "cancelled"] as const;
const ENDED = ["sent", "skipped", "failed"] as const;
const LATER = ["delivered", "bounced", "complained", "opened"] as const;
const EVERY_MS = 15_000; // what is counted stands some seconds after the change

export function Overview() {
  const span = HOURS[query.value.get("span") ?? ""] ? (query.value.get("span") as string) : "hour";
  const turn = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || (turn.value += 1), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const start = useSignal("");
  useEffect(() => {
    start.value = new Date(now() - (HOURS[span] ?? 1) * 3_600_000).toISOString();
  }, [span, turn.value, ahead.value]);
  return (
    <article>
      <header class="head">
        <div>
          <h1>{say.title}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <div class="choices" role="group" aria-label={say.span}>
          {Object.keys(HOURS).map((name) => (
            <button key={name} type="button" aria-pressed={name === span} onClick={() => navigate(`/overview?span=${name}`, { replace: true })}>
              {say.spans[name]}
            </button>
          ))}
        </div>
      </header>
      <Problems turn={turn.value} />
      {start.value && <Counted start={start.value} />}
      {inFirstProject() && <Queues turn={turn.value} />}
    </article>
  );
}

function Problems({ turn }: { readonly turn: number }) {
  const read = useRead<ListProblemsResponse>("/v1/problems");
  useEffect(() => {
    if (turn) read.again();
  }, [turn]);
  return (
    <Part title={say.problems} of={read} none={(all) => ((all.problems ?? []).length === 0 ? say.noProblem : null)}>
      {(all) => (
        <ul class="problems">
          {all.problems?.map((one) => (
            <li key={one.reason + (one.description ?? "")} class={one.severity}>
              <p>
                <strong>{one.severity && say.severities[one.severity]}</strong> {one.description}
              </p>
              <p class="quiet">{one.next_step?.split("`").map((part, place) => (place % 2 ? <code key={place}>{part}</code> : part))}</p>
            </li>
          ))}
        </ul>
      )}
    </Part>
  );
}

// The way of work and of its outcomes; queues that only hold something back are added to one line.
function Queues({ turn }: { readonly turn: number }) {
  const read = useRead<ListQueuesResponse>("/v1/queues");
  useEffect(() => {
    if (turn) read.again();
  }, [turn]);
  // a key's project is not known here: what is not for it is not shown
  if (read.error?.reason === "INSTALLATION_ONLY") return null;
  return (
    <Part title={say.queues} of={read} none={(all) => ((all.queues ?? []).length === 0 ? say.noQueue : null)}>
      {(all) => {
        const delayed = (all.queues ?? []).filter((one) => one.kind === "delay").reduce((sum, one) => sum + Number(one.messages ?? 0), 0);
        return (
          <>
            <table class="rows">
              <thead>
                <tr>
                  <th scope="col">{say.queue}</th>
                  <th scope="col">{say.holds}</th>
                  <th scope="col">{say.state}</th>
                  <th scope="col">{say.oldest}</th>
                </tr>
              </thead>
              <tbody>
                {all.queues
                  ?.filter((one) => one.kind !== "delay")
                  .map((one) => (
                    <tr key={one.name}>
                      <td class="main">{one.name}</td>
                      <td>{queueWords(one)}</td>
                      <td>
                        {Number(one.consumers ?? 0) > 0 ? (
                          say.taken(one.consumers ?? 0)
                        ) : (
                          <span class={Number(one.messages ?? 0) ? "status failed" : "quiet"}>{say.untaken}</span>
                        )}
                      </td>
                      <td>{one.oldest_age ? seconds(one.oldest_age) : <span class="quiet">–</span>}</td>
                    </tr>
                  ))}
              </tbody>
            </table>
            <p class="quiet">
              {say.delayed(delayed)} {workerWords(all)}
            </p>
          </>
        );
      }}
    </Part>
  );
}

const queueWords = (one: Queue) => say.messages(Number(one.messages ?? 0));

function workerWords({ workers = [] }: ListQueuesResponse): string {
  const by = new Map<string, number>();
  for (const worker of workers) {
    const providers = worker.providers?.join(", ") ?? "";
    by.set(providers, (by.get(providers) ?? 0) + 1);
  }
  return by.size ? say.workers([...by].map(([providers, count]) => `${count} × ${providers}`)) : say.noWorker;
}

function Counted({ start }: { readonly start: string }) {
  const read = useRead<GetActivityResponse>("/v1/activity", { start_time: start, test: testMode.value ? "true" : "" });
  if (read.error) return <Failure error={read.error} retry={read.again} />;
  if (read.value === null) return <Skeleton rows={3} />;
  const { totals = {}, latency, points = [], templates = [] } = read.value;
  const later = LATER.filter((name) => number(totals, name));
  return (
    <>
      <section aria-label={say.totals}>
        <h2>{say.totals}</h2>
        <dl class="figures">
          {[...COUNTS, ...later].map((name) => (
            <div key={name} class={number(totals, name) ? name : ""}>
              <dt>{say.counts[name]}</dt>
              <dd>{number(totals, name).toLocaleString()}</dd>
            </div>
          ))}
        </dl>
        {latency && <Level latency={latency} />}
      </section>
      {number(totals, "accepted") + number(totals, "sent") + number(totals, "failed") === 0 ? (
        <Empty title={say.nothing} hint={say.nothingHint} />
      ) : (
        <Chart points={points} />
      )}
      {templates.length > 0 && (
        <section aria-label={say.templates}>
          <h2>{say.templates}</h2>
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{say.template}</th>
                <th scope="col">{say.channel}</th>
                {COUNTS.slice(0, 4).map((name) => (
                  <th key={name} scope="col" class="number">
                    {say.counts[name]}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {templates.map((one) => (
                <tr key={`${one.template} ${one.channel}`}>
                  <td class="main">
                    <Link to={`/notifications?template=${encodeURIComponent(one.template ?? "")}`}>{one.template}</Link>
                  </td>
                  <td>{one.channel && channelWord[one.channel]}</td>
                  {COUNTS.slice(0, 4).map((name) => (
                    <td key={name} class="number">
                      {number(one.counts ?? {}, name).toLocaleString()}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

function Level({ latency }: { readonly latency: Latency }) {
  const within = latency.within_target ?? 0;
  return (
    <p class={within >= 0.99 ? "level" : "level missed"}>
      {say.level((within * 100).toFixed(within > 0.999 ? 0 : 1), seconds(latency.p50), seconds(latency.p95), seconds(latency.p99))}
    </p>
  );
}

// Bars of what ended in each step: what was sent from below, what was not on top of it. The table says the same to those who see no picture.
function Chart({ points }: { readonly points: readonly ActivityPoint[] }) {
  const most = Math.max(1, ...points.map((point) => ended(point.counts ?? {})));
  const width = 100 / Math.max(1, points.length);
  return (
    <section aria-label={say.overTime}>
      <h2>{say.overTime}</h2>
      <svg class="chart" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={say.chart(most)}>
        {points.map((point, place) => {
          const counts = point.counts ?? {};
          let top = 40;
          return (
            <g key={point.start_time}>
              <title>{`${new Date(point.start_time ?? "").toLocaleString()}: ${COUNTS.filter((name) => number(counts, name)).map((name) => `${number(counts, name)} ${say.counts[name]}`).join(", ") || say.none}`}</title>
              <rect x={place * width} y={0} width={width} height={40} class="gap" />
              {ENDED.map((name) => {
                const height = (number(counts, name) / most) * 38;
                top -= height;
                return height > 0 && <rect key={name} class={name} x={place * width + width * 0.1} y={top} width={width * 0.8} height={height} />;
              })}
            </g>
          );
        })}
      </svg>
      <p class="axis quiet">
        <Time iso={points[0]?.start_time} />
        <Time iso={points[points.length - 1]?.start_time} />
      </p>
      <p class="legend">
        {ENDED.map((name) => (
          <span key={name} class={name}>
            {say.counts[name]}
          </span>
        ))}
        <span class="quiet">{say.most(most)}</span>
      </p>
    </section>
  );
}

function number(counts: ActivityCounts, name: keyof ActivityCounts): number {
  return Number(counts[name] ?? 0);
}

function ended(counts: ActivityCounts): number {
  return ENDED.reduce((sum, name) => sum + number(counts, name), 0);
}

function seconds(text: string | undefined): string {
  return duration(parseFloat(text ?? "0") * 1_000);
}
