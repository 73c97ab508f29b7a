// Bringing a version into use, now or at a time, and what was planned.
import { post } from "../api";
import type { ListScheduledPublicationsResponse, ScheduledPublication, TemplateVersion } from "../api-types";
import { may } from "../session";
import { words } from "../words";
import { Act } from "./act";
import { Dialog, Time } from "./basics";
import type { Reading } from "./reading";
import { Who } from "./template-history";
import { lacks } from "./template-report";

const say = words.templates;

interface PublishProps {
  readonly name: string;
  readonly version: TemplateVersion;
  readonly inUse: TemplateVersion | undefined;
  readonly published: number;
  readonly plan: ScheduledPublication | undefined; // the one that waits
  readonly onDone: () => void;
  readonly onClose: () => void;
}

export function Publish({ name, version, inUse, published, plan, onDone, onClose }: PublishProps) {
  const number = version.version ?? 0;
  const back = number < published;
  const publish = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const note = String(given.get("note") ?? "");
    const at = String(given.get("at") ?? "");
    // in place of the version that is seen here: what another one has published meanwhile is looked at before it is undone
    const why = { previous_version: published, ...(note ? { note } : {}) };
    try {
      if (at === "") await post(`/v1/templates/${encodeURIComponent(name)}/versions/${number}:publish`, why);
      else {
        const planned = { template: name, version: number, publish_at: new Date(at).toISOString(), ...(plan ? { replaces: plan.id } : {}) };
        await post("/v1/scheduled-publications", { ...planned, ...why });
      }
    } finally {
      onDone();
    }
  };
  return (
    <Dialog title={back ? say.rollBackAsk(number) : say.publishAsk(number)} action={back ? say.rollBack : say.publish} onDo={publish} onClose={onClose}>
      <p>{[say.publishText, ...lacks(version, inUse)].join(" ")}</p>
      <label>
        {say.note}
        <input name="note" maxLength={500} autoComplete="off" />
      </label>
      <label>
        {say.publishAt}
        <input name="at" type="datetime-local" />
      </label>
      {plan && <p class="notice">{say.replaces(plan.version ?? 0)}</p>}
    </Dialog>
  );
}

// The plan that waits, or why the last one came to nothing.
export function Planned({ of, onDone }: { of: Reading<ListScheduledPublicationsResponse>; onDone: () => void }) {
  const last = of.value?.scheduled_publications?.[0];
  if (of.error) return <p class="problem">{of.error.message}</p>;
  if (last?.state === "failed") {
    return (
      <p class="notice">
        {say.planFailed(last.version ?? 0)} <Time iso={last.publish_at} />: {last.description} <code>{last.reason}</code>
      </p>
    );
  }
  if (last?.state !== "planned") return null;
  return (
    <div class="notice plan" role="note">
      <p>
        {say.planned(last.version ?? 0)} <Time iso={last.publish_at} />. {last.note && `“${last.note}”`} {say.plannedBy} <Who by={last.scheduled_by} />
      </p>
      {may("templates:write") && <Act label={say.callOff} onDo={() => post(`/v1/scheduled-publications/${last.id}:cancel`, {}).finally(onDone)} />}
    </div>
  );
}
