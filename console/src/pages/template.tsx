import { useSignal } from "@preact/signals";
import { post } from "../api";
import type {
  Canary,
  ListPublicationsResponse,
  ListScheduledPublicationsResponse,
  ListVersionsResponse,
  Publication,
  SendNotificationResponse,
  Template,
  TemplateVersion,
} from "../api-types";
import { About } from "../parts/template-about";
import { Act } from "../parts/act";
import { Ask, Empty, Failure, Skeleton, Time } from "../parts/basics";
import { usePages, useRead } from "../parts/reading";
import { Tried, Try } from "../parts/template-canary";
import { Diff } from "../parts/template-diff";
import { History } from "../parts/template-history";
import { Preview, sample, variablesOf, type Reader } from "../parts/template-preview";
import { Planned, Publish } from "../parts/template-publish";
import { Versions, type ToDo } from "../parts/template-versions";
import { Link, navigate, query, setQuery } from "../router";
import { claims, may } from "../session";
import { channelWord, words } from "../words";

const say = words.templates;

export function OneTemplate({ name }: { name: string }) {
  const path = `/v1/templates/${encodeURIComponent(name)}`;
  const read = useRead<Template>(path);
  const showsArchived = query.value.has("archived");
  const list = usePages<ListVersionsResponse, TemplateVersion>(`${path}/versions`, showsArchived ? { show_archived: "true" } : {}, (page) => page.versions);
  const history = usePages<ListPublicationsResponse, Publication>(`${path}/publications`, {}, (page) => page.publications);
  const variables = useSignal<string | null>(null);
  const plans = useRead<ListScheduledPublicationsResponse>("/v1/scheduled-publications", { template: name, page_size: 1 });
  const trial = useRead<Canary>(`${path}/canary`); // 404 where nothing was ever tried
  const asking = useSignal<{ version: TemplateVersion; what: ToDo } | null>(null);
  const archiving = useSignal(false);
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
  const running = trial.value?.state === "running" ? trial.value : null;
  const plan = plans.value?.scheduled_publications?.find((each) => each.state === "planned");
  const chosen = Number(query.value.get("version")) || published || one.latest_version || 0;
  const version = list.rows.find((row) => row.version === chosen);
  const reader: Reader = { locale: query.value.get("locale") ?? "", timezone: query.value.get("timezone") ?? "", variables: variables.value ?? sample(version) };
  const readAs = ({ variables: written, ...others }: Partial<Reader>) => {
    if (written !== undefined) variables.value = written;
    setQuery(others);
  };

  const again = () => [read, list, history, plans, trial].forEach((one) => one.again());
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
        {one.archive_time && may("templates:write") && <Act label={say.restore} onDo={() => post(`${path}:restore`, {}).then(again)} />}
        {!one.archive_time && may("templates:write") && (
          <button type="button" onClick={() => (archiving.value = true)}>
            {say.archive}
          </button>
        )}
        {!one.archive_time && may("templates:write") && (
          <Link to={`/templates/${name}/edit${chosen ? `?version=${chosen}` : ""}`} class="button">
            {say.edit}
          </Link>
        )}
        {!one.archive_time && published > 0 && may("notifications:send") && (
          <button type="button" class="primary" onClick={() => (sending.value = true)}>
            {say.send}
          </button>
        )}
      </header>
      {one.archive_time && (
        <p class="notice" role="note">
          {say.archivedSince} <Time iso={one.archive_time} />.
        </p>
      )}
      <About of={one} path={path} onDone={again} />
      <Planned of={plans} onDone={again} />
      {list.rows.length === 0 ? (
        <Empty title={say.noVersion} hint={say.noVersionHint} />
      ) : (
        <>
          <Versions
            of={list}
            path={path}
            chosen={chosen}
            published={published}
            canary={running}
            showsArchived={showsArchived}
            frozen={Boolean(one.archive_time)}
            onAsk={(version, what) => (asking.value = { version, what })}
          />
          {trial.error && trial.error.status !== 404 && <p class="problem">{trial.error.message}</p>}
          {trial.value && <Tried key={trial.value.end_time ?? trial.value.percent} of={trial.value} path={path} onDone={again} />}
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
      {asking.value?.what === "publish" && (
        <Publish
          name={name}
          version={asking.value.version}
          inUse={list.rows.find((row) => row.version === published)}
          published={published}
          plan={plan}
          onDone={again}
          onClose={() => (asking.value = null)}
        />
      )}
      {asking.value?.what === "try" && <Try version={asking.value.version} path={path} running={running} onDone={again} onClose={() => (asking.value = null)} />}
      {archiving.value && (
        <Ask
          title={say.archiveAsk(name)}
          text={say.archiveText}
          action={say.archive}
          danger
          onDo={async () => {
            await post(`${path}:archive`, {});
            again();
          }}
          onClose={() => (archiving.value = false)}
        />
      )}
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
