import { useSignal } from "@preact/signals";
import { post } from "../api";
import type { Breaker, ListBreakersResponse, ListDeadLetterJobsResponse, ListSagasResponse, ListWebhookEndpointsResponse } from "../api-types";
import { ApiKeys } from "../parts/api-keys";
import { Act } from "../parts/act";
import { Ask, Time } from "../parts/basics";
import { jobWords } from "../parts/job";
import { useRead } from "../parts/reading";
import { Part } from "../parts/section";
import { Link } from "../router";
import { may } from "../session";
import { words } from "../words";

const say = words.operate;

export function Operate() {
  return (
    <article>
      <header class="head">
        <div>
          <h1>{words.operateTitle}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
      </header>
      <Breakers />
      <Sagas />
      <Jobs />
      <Webhooks />
      {may("apikeys:write") && <ApiKeys />}
    </article>
  );
}

function Breakers() {
  const read = useRead<ListBreakersResponse>("/v1/breakers");
  const asking = useSignal<{ breaker: Breaker; hold: boolean } | null>(null);
  const force = async (note: string) => {
    if (asking.value === null) return;
    const { breaker, hold } = asking.value;
    await post(`/v1/breakers/${encodeURIComponent(breaker.name ?? "")}:force`, { force: hold ? "open" : "auto", note });
    read.again();
  };
  return (
    <Part title={say.breakers} of={read} none={(all) => ((all.breakers ?? []).length === 0 ? say.noBreaker : null)}>
      {(all) => (
        <>
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{say.provider}</th>
                <th scope="col">{say.state}</th>
                <th scope="col">{say.failures}</th>
                <th scope="col">{say.since}</th>
                <th scope="col">{say.held}</th>
              </tr>
            </thead>
            <tbody>
              {all.breakers?.map((one) => {
                const held = one.force === "open" || one.force === "closed";
                return (
                  <tr key={one.name}>
                    <td class="main">{one.name}</td>
                    <td>
                      <span class={`status ${one.state}`}>{one.state && say.states[one.state]}</span>
                    </td>
                    <td>{one.failures ?? 0}</td>
                    <td>
                      <Time iso={one.change_time} />
                    </td>
                    <td class="words">
                      {held && <p>{say.heldWords(say.forces[one.force ?? "auto"], one.forced_by ?? "", one.note ?? "")}</p>}
                      <button type="button" data-row onClick={() => (asking.value = { breaker: one, hold: !held })}>
                        {held ? say.release : say.hold}
                      </button>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          {asking.value && (
            <Ask
              title={(asking.value.hold ? say.holdAsk : say.releaseAsk)(asking.value.breaker.name ?? "")}
              text={asking.value.hold ? say.holdText : say.releaseText}
              action={asking.value.hold ? say.hold : say.release}
              danger={asking.value.hold}
              note={words.one.note}
              onDo={force}
              onClose={() => (asking.value = null)}
            />
          )}
        </>
      )}
    </Part>
  );
}

function Sagas() {
  const read = useRead<ListSagasResponse>("/v1/sagas", { state: "suspended" });
  return (
    <Part title={say.sagas} of={read} none={(page) => ((page.sagas ?? []).length === 0 ? say.noSaga : null)}>
      {(page) => (
        <ul class="plain-list">
          {page.sagas?.map((one) => (
            <li key={one.id}>
              {one.kind} <code>{one.key}</code> {say.step} <code>{one.reason}</code>, <Time iso={one.update_time} />{" "}
              <Act label={say.resume} onDo={() => post(`/v1/sagas/${one.id}:resume`, {}).finally(read.again)} />
            </li>
          ))}
        </ul>
      )}
    </Part>
  );
}

function Jobs() {
  const read = useRead<ListDeadLetterJobsResponse>("/v1/dead-letter-jobs", { page_size: 10 });
  return (
    <Part title={say.jobs} of={read} none={(page) => ((page.jobs ?? []).length === 0 ? say.noJob : null)}>
      {(page) => (
        <ul class="plain-list">
          {page.jobs?.map((job) => (
            <li key={job.id}>
              <Time iso={job.create_time} /> {jobWords(job)} {job.note && `“${job.note}”`}{" "}
              <span class="quiet">
                {say.by} {job.created_by}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Part>
  );
}

function Webhooks() {
  const read = useRead<ListWebhookEndpointsResponse>("/v1/webhook-endpoints", { page_size: 200 });
  return (
    <Part title={say.webhooks} of={read} none={(page) => ((page.webhook_endpoints ?? []).length === 0 ? say.noWebhook : null)}>
      {(page) => (
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">{say.endpoint}</th>
              <th scope="col">{say.state}</th>
              <th scope="col">{say.waiting}</th>
            </tr>
          </thead>
          <tbody>
            {page.webhook_endpoints?.map((one) => (
              <tr key={one.id}>
                <td class="main words">
                  <Link to={`/operate/webhooks/${one.id}`} data-row>
                    {one.url}
                  </Link>
                </td>
                <td>
                  <span class={`status ${one.state}`}>{one.state && say.webhookStates[one.state]}</span> {one.state_reason}
                </td>
                <td>{one.waiting_count ?? 0}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Part>
  );
}
