import { useSignal } from "@preact/signals";
import { post } from "../api";
import type { ListPublicationsResponse, ListVersionsResponse, Publication, SendNotificationResponse, Template, TemplateVersion } from "../api-types";
import { Ask, Empty, Failure, More, Skeleton, Time } from "../parts/basics";
import { usePages, useRead } from "../parts/reading";
import { Diff } from "../parts/template-diff";
import { History, Who } from "../parts/template-history";
import { Preview, sample, variablesOf, type Reader } from "../parts/template-preview";
import { lacks } from "../parts/template-report";
import { Link, navigate, query, setQuery } from "../router";
import { claims, may } from "../session";
import { channelWord, words } from "../words";

const say = words.templates;

export function OneTemplate({ name }: { name: string }) {
  const path = `/v1/templates/${encodeURIComponent(name)}`;
  const read = useRead<Template>(path);
  const list = usePages<ListVersionsResponse, TemplateVersion>(`${path}/versions`, {}, (page) => page.versions);
  const history = usePages<ListPublicationsResponse, Publication>(`${path}/publications`, {}, (page) => page.publications);
  const variables = useSignal<string | null>(null);
  const publishing = useSignal<TemplateVersion | null>(null);
  const sending = useSignal(false);

  const error = read.error ?? list.error;
  if (error?.status === 404) {
    return (
      <Empty alone title={say.missing} hint={words.one.missingHint}>
        <Link to="/templates">{say.back}</Link>
      </Empty>
    );
  }
  if (error) return <Failure alone error={error} retry={() => (read.again(), list.again())} />;
  const one = read.value;
  if (one === null || list.rows === null) return <Skeleton />;
  const published = one.published_version ?? 0;
  const chosen = Number(query.value.get("version")) || published || one.latest_version || 0;
  const version = list.rows.find((row) => row.version === chosen);
  const reader: Reader = { locale: query.value.get("locale") ?? "", timezone: query.value.get("timezone") ?? "", variables: variables.value ?? sample(version) };
  const readAs = ({ variables: written, ...others }: Partial<Reader>) => {
    if (written !== undefined) variables.value = written;
    setQuery(others);
  };

  const publish = async (number: number, note: string) => {
    try {
      // in place of the version that is seen here: what another one has published meanwhile is looked at before it is undone
      await post(`${path}/versions/${number}:publish`, { previous_version: published, ...(note ? { note } : {}) });
    } finally {
      read.again();
      list.again();
      history.again();
    }
  };
  const send = async (to: string) => {
    const person = claims.value.user && !to ? { user_id: claims.value.user } : to.includes("@") ? { to: { email: to } } : { user_id: to };
    const sent = await post<SendNotificationResponse>("/v1/notifications", {
      ...person,
      channel: one.channel,
      template: name,
      variables: variablesOf(reader.variables),
      ...(reader.locale ? { locale: reader.locale } : {}),
    });
    navigate(`/notifications/${sent.id}`);
  };

  return (
    <article>
      <Link to="/templates" class="back">
        ← {say.back}
      </Link>
      <header class="head">
        <div>
          <h1>{one.name}</h1>
          <p class="sentence">
            {say.sentence(one.channel ? channelWord[one.channel] : "", published, one.latest_version ?? 0)} {one.description}
          </p>
        </div>
        {may("templates:write") && (
          <Link to={`/templates/${name}/edit${chosen ? `?version=${chosen}` : ""}`} class="button">
            {say.edit}
          </Link>
        )}
        {published > 0 && may("notifications:send") && (
          <button type="button" class="primary" onClick={() => (sending.value = true)}>
            {say.send}
          </button>
        )}
      </header>
      {list.rows.length === 0 ? (
        <Empty title={say.noVersion} hint={say.noVersionHint} />
      ) : (
        <>
          <Versions rows={list.rows} chosen={chosen} published={published} more={list.more} onPublish={(row) => (publishing.value = row)} />
          {version && (
            <>
              <Preview
                key={chosen}
                name={name}
                title={say.preview(chosen)}
                of={{ version: chosen }}
                locales={(version.locales ?? []).map((one) => one.locale ?? "")}
                localeHint={say.localeHint}
                reader={reader}
                onReader={readAs}
              />
              <Findings of={version} />
              <Diff version={version} others={list.rows} />
            </>
          )}
          <History of={history} />
        </>
      )}
      {publishing.value && <Publish version={publishing.value} inUse={list.rows.find((row) => row.version === published)} published={published} onDo={publish} onClose={() => (publishing.value = null)} />}
      {sending.value && (
        <Ask
          title={say.sendAsk}
          text={say.sendText(published)}
          action={say.send}
          note={claims.value.user ? say.sendTo : say.sendToKey}
          onDo={send}
          onClose={() => (sending.value = false)}
        />
      )}
    </article>
  );
}

interface PublishProps {
  readonly version: TemplateVersion;
  readonly inUse: TemplateVersion | undefined;
  readonly published: number;
  readonly onDo: (number: number, note: string) => Promise<void>;
  readonly onClose: () => void;
}

function Publish({ version, inUse, published, onDo, onClose }: PublishProps) {
  const number = version.version ?? 0;
  const back = number < published;
  return (
    <Ask
      title={back ? say.rollBackAsk(number) : say.publishAsk(number)}
      text={[say.publishText, ...lacks(version, inUse)].join(" ")}
      action={back ? say.rollBack : say.publish}
      note={say.note}
      most={500}
      onDo={(note) => onDo(number, note)}
      onClose={onClose}
    />
  );
}

function Findings({ of }: { of: TemplateVersion }) {
  const found = of.findings ?? [];
  if (found.length === 0) return null;
  return (
    <section aria-labelledby="findings">
      <h2 id="findings">{say.findings}</h2>
      <ul class="plain-list">
        {found.map((one, index) => (
          <li key={index}>
            {one.description}{" "}
            <span class="quiet">
              {one.field}
              {one.line ? `:${one.line}` : ""} ({one.rule})
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface VersionsProps {
  readonly rows: readonly TemplateVersion[];
  readonly chosen: number;
  readonly published: number;
  readonly more: (() => void) | null;
  readonly onPublish: (version: TemplateVersion) => void;
}

function Versions({ rows, chosen, published, more, onPublish }: VersionsProps) {
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">{say.versions}</h2>
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">{say.version}</th>
            <th scope="col">{say.made}</th>
            <th scope="col">{say.by}</th>
            <th scope="col">{say.why}</th>
            <th scope="col">{say.locales}</th>
            <th scope="col">{say.variables}</th>
            <th scope="col">{say.use}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.version} aria-current={row.version === chosen ? "true" : undefined}>
              <td>
                <button type="button" class="plain" data-row aria-pressed={row.version === chosen} onClick={() => setQuery({ version: String(row.version) })}>
                  {say.number(row.version ?? 0)}
                </button>
              </td>
              <td>
                <Time iso={row.create_time} />
              </td>
              <td>
                <Who by={row.created_by} />
              </td>
              <td class="words">{row.note || <span class="quiet">–</span>}</td>
              <td class="words">{(row.locales ?? []).map((one) => one.locale).join(", ")}</td>
              <td class="words">{(row.required_variables ?? []).join(", ") || <span class="quiet">–</span>}</td>
              <td>
                {row.version === published ? (
                  <span class="status sent">{say.published}</span>
                ) : may("templates:write") ? (
                  <button type="button" onClick={() => onPublish(row)}>
                    {(row.version ?? 0) < published ? say.rollBack : say.publish}
                  </button>
                ) : (
                  <span class="quiet">–</span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More more={more} end={false} />
    </section>
  );
}
