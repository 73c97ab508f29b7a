import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError, follow, get, post } from "../api";
import type { CapturedMessage, Notification, WatchNotificationResponse } from "../api-types";
import { Ask, Copy, Empty, Failure, Skeleton, Status, Time } from "../parts/basics";
import { Said } from "../parts/sent-content";
import { SendAgain } from "../parts/send-again";
import { Timeline } from "../parts/timeline";
import { Link } from "../router";
import { may } from "../session";
import { CANCELLABLE, attempts, sentence } from "../story";
import { channelWord, words } from "../words";

const say = words.one;

export function One({ id }: { id: string }) {
  const found = useSignal<Notification | null>(null);
  const error = useSignal<ApiError | null>(null);
  const asking = useSignal<"again" | "cancel" | "requeue" | null>(null);
  const turn = useSignal(0);

  useEffect(() => {
    const stop = new AbortController();
    found.value = turn.value ? found.value : null;
    error.value = null;
    void follow<WatchNotificationResponse>({
      path: () => `/v1/notifications/${encodeURIComponent(id)}:watch`,
      onMessage: (message) => (found.value = message.notification ?? found.value),
      onState: () => undefined,
      onRefused: (problem) => (error.value = problem),
      ends: true,
      signal: stop.signal,
    });
    return () => stop.abort();
  }, [id, turn.value]);

  const act = async (path: string, body: unknown) => {
    await post(path, body);
    turn.value += 1;
  };

  if (error.value) return error.value.status === 404 || error.value.status === 400 ? <Missing /> : <Failure alone error={error.value} retry={() => (turn.value += 1)} />;
  const one = found.value;
  if (one === null) return <Skeleton />;
  return (
    <article>
      <Link to="/notifications" class="back">
        ← {say.back}
      </Link>
      <header class="head">
        <div>
          <h1>
            {one.template} <Status status={one.status} />
          </h1>
          <p class="sentence" aria-live="polite">
            {sentence(one)}
          </p>
        </div>
        {one.status && CANCELLABLE.has(one.status) && may("notifications:send") && (
          <button type="button" class="danger" onClick={() => (asking.value = "cancel")}>
            {say.cancel}
          </button>
        )}
        {one.status === "sent" && one.channel === "email" && may("notifications:send") && may("notifications:content") && (
          <button type="button" onClick={() => (asking.value = "again")}>
            {say.again.open}
          </button>
        )}
        {one.status === "failed" && may("deadletters:review") && may("deadletters:redirect") && (
          <Link to={`/dead-letters/${id}`} class="button">
            {say.otherwise}
          </Link>
        )}
        {one.status === "failed" && may("deadletters:review") && (
          <button type="button" class="primary" onClick={() => (asking.value = "requeue")}>
            {say.requeue}
          </button>
        )}
      </header>
      <Timeline of={one} />
      <Attempts of={one} />
      {one.test && <Captured id={id} key={one.attempts} />}
      {!one.test && one.status === "sent" && may("notifications:content") && <Said key={id} id={id} />}
      <Facts of={one} />
      <details class="raw">
        <summary>{say.raw}</summary>
        <Copy text={JSON.stringify(one, null, 2)} label={say.raw} />
        <pre tabIndex={0}>{JSON.stringify(one, null, 2)}</pre>
      </details>
      {asking.value === "again" && <SendAgain of={one} onClose={() => (asking.value = null)} />}
      {asking.value === "cancel" && (
        <Ask
          title={say.cancelAsk}
          text={say.cancelText}
          action={say.cancel}
          danger
          onDo={() => act(`/v1/notifications/${id}:cancel`, {})}
          onClose={() => (asking.value = null)}
        />
      )}
      {asking.value === "requeue" && (
        <Ask
          title={say.requeueAsk}
          text={say.requeueText}
          action={say.requeue}
          note={say.note}
          onDo={(note) => act(`/v1/dead-letters/${id}:requeue`, { note })}
          onClose={() => (asking.value = null)}
        />
      )}
    </article>
  );
}

function Missing() {
  return (
    <Empty alone title={say.missing} hint={say.missingHint}>
      <Link to="/notifications">{say.back}</Link>
    </Empty>
  );
}

function Attempts({ of }: { of: Notification }) {
  const all = attempts(of);
  return (
    <section aria-labelledby="attempts">
      <h2 id="attempts">{say.attempts}</h2>
      {all.length === 0 ? (
        <p class="quiet">{say.noAttempt}</p>
      ) : (
        <table class="rows attempts">
          <thead>
            <tr>
              <th scope="col" class="number">
                {say.try}
              </th>
              <th scope="col">{say.result}</th>
              <th scope="col">{say.provider}</th>
              <th scope="col">{say.said}</th>
              <th scope="col">{say.when}</th>
            </tr>
          </thead>
          <tbody>
            {all.map(({ number, entry }, index) => (
              <tr key={index}>
                <td class="number">{number}</td>
                <td>
                  <Status status={entry.status} /> {entry.reason && <code>{entry.reason}</code>}
                </td>
                <td>{entry.provider || <span class="quiet">–</span>}</td>
                <td class="words">
                  {entry.detail || <span class="quiet">–</span>}
                  {(entry.devices ?? []).map((device) => (
                    <div key={device.device_id} class="quiet">
                      <code>{device.device_id}</code> {device.accepted ? "accepted" : device.reason}
                    </div>
                  ))}
                </td>
                <td>
                  <Time iso={entry.time} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Captured({ id }: { id: string }) {
  const message = useSignal<CapturedMessage | null>(null);
  useEffect(() => {
    // before its first attempt there is none, and that is no error
    get<CapturedMessage>(`/v1/notifications/${id}/captured-message`).then((read) => (message.value = read), () => undefined);
  }, [id]);
  const content = message.value?.content;
  if (!content) return null;
  return (
    <section aria-labelledby="captured">
      <h2 id="captured">{say.message}</h2>
      <div class="captured">
        <h3>{content.subject || content.title}</h3>
        <pre tabIndex={0}>{content.text || content.body || content.html}</pre>
      </div>
    </section>
  );
}

function Facts({ of }: { of: Notification }) {
  const ids: [string, string | undefined][] = [
    ["Notification id", of.id],
    ["User id", of.user_id],
    [words.correlation, of.correlation_id],
  ];
  const plain: [string, string | undefined][] = [
    ["Channel", of.channel && channelWord[of.channel]],
    ["Template version", of.template_version ? String(of.template_version) : ""],
    ["Locale", of.locale],
    ["Category", of.category],
    ["Priority", of.priority],
    ...Object.entries(of.metadata ?? {}).map(([name, value]): [string, string] => [`${words.label} ${name}`, value]),
  ];
  const when: [string, string | undefined][] = [
    ["Accepted", of.create_time],
    ["Last change", of.update_time],
    ["To be sent at", of.send_at],
    ["Expires", of.expires_at],
  ];
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">{say.facts}</h2>
      <dl class="facts">
        {ids.map(([label, value]) => value && <Fact key={label} label={label}><code>{value}</code> <Copy text={value} label={label} /></Fact>)}
        {of.user_id && may("users:read") && (
          <Fact label={words.list.person}>
            <Link to={`/people/${of.user_id}`}>{words.people.open}</Link>
          </Fact>
        )}
        {of.resent_from && (
          <Fact label={say.again.from}>
            <Link to={`/notifications/${of.resent_from}`}>{of.resent_from}</Link>
          </Fact>
        )}
        {plain.map(([label, value]) => value && <Fact key={label} label={label}>{value}</Fact>)}
        {when.map(([label, value]) => value && <Fact key={label} label={label}><Time iso={value} /></Fact>)}
      </dl>
    </section>
  );
}

function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
