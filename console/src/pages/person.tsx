import { useSignal } from "@preact/signals";
import { remove } from "../api";
import type {
  DeleteUserResponse,
  ListDevicesResponse,
  ListNotificationsResponse,
  ListSessionsResponse,
  ListSuppressionsResponse,
  PreferenceRule,
  Preferences,
  User,
} from "../api-types";
import { Act } from "../parts/act";
import { Ask, Copy, Empty, Failure, Skeleton, Status, Time } from "../parts/basics";
import { AssignRole } from "../parts/assigned-role";
import { ExportData } from "../parts/export-data";
import { useRead } from "../parts/reading";
import { Part } from "../parts/section";
import { Link } from "../router";
import { may } from "../session";
import { channelWord, words } from "../words";

const say = words.people;

export function Person({ id }: { id: string }) {
  const path = `/v1/users/${encodeURIComponent(id)}`;
  const read = useRead<User>(path);
  const erasing = useSignal(false);
  const erased = useSignal<DeleteUserResponse | null>(null);

  if (erased.value) {
    return (
      <Empty alone title={erased.value.completed ? say.erased : say.erasing} hint={say.erasedHint(erased.value.saga_id ?? "")}>
        <Link to="/people">{say.back}</Link>
      </Empty>
    );
  }
  if (read.error?.status === 404 || read.error?.status === 400) {
    return (
      <Empty alone title={say.noMatch} hint={say.noMatchHint}>
        <Link to="/people">{say.back}</Link>
      </Empty>
    );
  }
  if (read.error) return <Failure alone error={read.error} retry={read.again} />;
  const one = read.value;
  if (one === null) return <Skeleton />;
  return (
    <article>
      <Link to="/people" class="back">
        ← {say.back}
      </Link>
      <header class="head">
        <div>
          <h1>{one.name || one.email || one.id}</h1>
          <p class="sentence">{one.email || say.noAddress}</p>
        </div>
        {may("audit:read") && (
          <Link to={`/audit?subject=user:${one.id}`} class="button">
            {say.audit}
          </Link>
        )}
        <AssignRole of={one} onDone={read.again} />
        {may("users:export") && <ExportData id={one.id ?? id} />}
        {may("users:write") && (
          <button type="button" class="danger" onClick={() => (erasing.value = true)}>
            {say.erase}
          </button>
        )}
      </header>
      <Facts of={one} />
      {one.email && <Suppressions address={one.email} />}
      {Object.keys(one.attributes ?? {}).length > 0 && <Attributes of={one} />}
      <Devices path={path} />
      <PreferenceList path={path} />
      <Sent id={one.id ?? id} />
      {may("users:admin") && <Sessions path={path} />}
      {erasing.value && (
        <Ask
          title={say.eraseAsk}
          text={say.eraseText}
          action={say.erase}
          danger
          note={say.eraseNote}
          expected={one.email || one.id || ""}
          onDo={async () => {
            erased.value = await remove<DeleteUserResponse>(path);
          }}
          onClose={() => (erasing.value = false)}
        />
      )}
    </article>
  );
}

function Facts({ of }: { of: User }) {
  const facts: [string, string | undefined][] = [
    [say.language, of.locale],
    [say.timezone, of.timezone],
    [say.role, of.role],
    [words.roles.assigned, of.assigned_role],
  ];
  return (
    <dl class="facts">
      {[["User id", of.id], [say.ownId, of.external_id]].map(
        ([label, value]) =>
          value && (
            <div key={label}>
              <dt>{label}</dt>
              <dd>
                <code>{value}</code> <Copy text={value} label={label ?? ""} />
              </dd>
            </div>
          ),
      )}
      {facts.map(
        ([label, value]) =>
          value && (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
      <div>
        <dt>{say.since}</dt>
        <dd>
          <Time iso={of.create_time} />
        </dd>
      </div>
    </dl>
  );
}

function Attributes({ of }: { of: User }) {
  return (
    <section aria-label={say.attributes}>
      <h2>{say.attributes}</h2>
      <dl class="facts">
        {Object.entries(of.attributes ?? {}).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === "string" ? value : <code>{JSON.stringify(value)}</code>}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Sessions({ path }: { path: string }) {
  const read = useRead<ListSessionsResponse>(`${path}/sessions`);
  const said = words.sessions;
  const end = (session: string) => remove(`${path}/sessions/${session}`).finally(read.again);
  return (
    <Part title={said.title} of={read} none={(page) => ((page.sessions ?? []).length === 0 ? said.none : null)}>
      {(page) => (
        <>
          <ul class="plain-list">
            {page.sessions?.map((one) => (
              <li key={one.id}>
                {said.begun} <Time iso={one.create_time} />, {said.used.toLowerCase()} <Time iso={one.last_use_time} />{" "}
                {one.current ? (
                  <span class="quiet">{said.own}</span>
                ) : (
                  <Act label={said.end} onDo={() => end(one.id ?? "")} />
                )}
              </li>
            ))}
          </ul>
          <div>
            <Act label={said.endAll} onDo={() => end("-")} />
          </div>
        </>
      )}
    </Part>
  );
}

function Suppressions({ address }: { address: string }) {
  const read = useRead<ListSuppressionsResponse>("/v1/suppressions", { address });
  const lifting = useSignal<string | null>(null);
  return (
    <Part title={say.suppressions} of={read} none={(page) => ((page.suppressions ?? []).length === 0 ? say.notSuppressed : null)}>
      {(page) =>
        page.suppressions?.map((one) => (
          <div key={one.category} class="captured">
            <p>
              <b>{one.address}</b> {one.category ? say.suppressedOf(one.category) : say.suppressedFor} <code>{one.reason}</code>,{" "}
              <Time iso={one.create_time} />
              {one.expire_time && (
                <>
                  , {say.suppressedUntil} <Time iso={one.expire_time} />
                </>
              )}
            </p>
            {one.evidence && <p class="words">{one.evidence}</p>}
            {may("users:write") && (
              <div>
                <button type="button" onClick={() => (lifting.value = one.category ?? "")}>
                  {say.lift}
                </button>
              </div>
            )}
            {lifting.value === (one.category ?? "") && (
              <Ask
                title={say.liftAsk}
                text={say.liftText}
                action={say.lift}
                onDo={async () => {
                  const scope = one.category ? `?category=${encodeURIComponent(one.category)}` : "";
                  await remove(`/v1/suppressions/${encodeURIComponent(one.address ?? "")}${scope}`);
                  read.again();
                }}
                onClose={() => (lifting.value = null)}
              />
            )}
          </div>
        ))
      }
    </Part>
  );
}

function Devices({ path }: { path: string }) {
  const read = useRead<ListDevicesResponse>(`${path}/devices`, { show_removed: "true" });
  return (
    <Part title={say.devices} of={read} none={(page) => ((page.devices ?? []).length === 0 ? say.noDevice : null)}>
      {(page) => (
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">{say.device}</th>
              <th scope="col">{say.token}</th>
              <th scope="col">{say.since}</th>
              <th scope="col">{words.list.status}</th>
            </tr>
          </thead>
          <tbody>
            {page.devices?.map((device) => (
              <tr key={device.id}>
                <td>{device.platform ?? "–"}</td>
                <td>
                  <code>…{device.token_suffix}</code>
                </td>
                <td>
                  <Time iso={device.create_time} />
                </td>
                <td>
                  {device.remove_time ? (
                    <>
                      <span class="status failed">{say.gone}</span> <code>{device.remove_reason}</code> <Time iso={device.remove_time} />
                    </>
                  ) : (
                    <span class="status sent">{say.reached}</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Part>
  );
}

function PreferenceList({ path }: { path: string }) {
  const read = useRead<Preferences>(`${path}/preferences`);
  return (
    <Part title={say.preferences} of={read} none={(all) => ((all.rules ?? []).length === 0 && !all.quiet_hours ? say.noPreference : null)}>
      {(all) => (
        <ul class="plain-list">
          {all.quiet_hours && <li>{all.quiet_hours.off ? say.noQuietHours : say.quietHours(all.quiet_hours.start ?? "", all.quiet_hours.end ?? "")}</li>}
          {all.rules?.map((rule, index) => <li key={index}>{ruleWords(rule)}</li>)}
        </ul>
      )}
    </Part>
  );
}

const ruleWords = (rule: PreferenceRule) =>
  say.rule(rule.choice === "allow", rule.template ? `“${rule.template}”` : rule.category ? `“${rule.category}”` : "", rule.channel ? channelWord[rule.channel] : "");

function Sent({ id }: { id: string }) {
  const read = useRead<ListNotificationsResponse>("/v1/notifications", { user_id: id, page_size: 20 });
  return (
    <Part title={words.notifications} of={read} none={(page) => ((page.notifications ?? []).length === 0 ? say.nothingSent : null)}>
      {(page) => (
        <>
          <ul class="letters">
            {page.notifications?.map((row) => (
              <li key={row.id}>
                <Link to={`/notifications/${row.id}`} data-row>
                  <span class="name">{row.template}</span>
                  <Status status={row.status} />
                  <span class="quiet">{row.channel && channelWord[row.channel]}</span>
                  <Time iso={row.create_time} />
                </Link>
              </li>
            ))}
          </ul>
          {page.next_page_token && <Link to={`/notifications?user_id=${id}`}>{say.allSent}</Link>}
        </>
      )}
    </Part>
  );
}
