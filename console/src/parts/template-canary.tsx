// Trying a version with a share of the notifications: what becomes of them, beside the version that the rest gets.
import { post } from "../api";
import type { Canary, GetActivityResponse, TemplateVersion, VersionActivity } from "../api-types";
import { duration } from "../times";
import { may } from "../session";
import { words } from "../words";
import { Act } from "./act";
import { Dialog, Skeleton, Time } from "./basics";
import { useRead, type Reading } from "./reading";

const say = words.templates;

interface TriedProps {
  readonly of: Canary;
  readonly path: string;
  readonly onDone: () => void;
}

export function Tried({ of, path, onDone }: TriedProps) {
  const runs = of.state === "running";
  const activity = useRead<GetActivityResponse>("/v1/activity", {
    template: of.template,
    start_time: of.start_time,
    ...(of.end_time ? { end_time: of.end_time } : {}),
  });
  return (
    <section aria-labelledby="canary">
      <div class="head">
        <h2 id="canary">{say.canary(of.version ?? 0)}</h2>
        <button type="button" onClick={activity.again}>
          {words.list.refresh}
        </button>
        {runs && may("templates:write") && <Act label={say.stopCanary} onDo={() => post(`${path}/canary:stop`, {}).finally(onDone)} />}
      </div>
      <p>
        {say.canaryUnit(of.percent ?? 0, of.unit === "user")} <Time iso={of.start_time} />
        {of.end_time && (
          <>
            {" "}
            {say.canaryUntil} <Time iso={of.end_time} />: {say.canaryEnd[of.state as keyof typeof say.canaryEnd]}
          </>
        )}
        . {of.note && `“${of.note}”`}
      </p>
      <Counts of={activity} canary={of} />
    </section>
  );
}

function Counts({ of, canary }: { of: Reading<GetActivityResponse>; canary: Canary }) {
  if (of.error) return <p class="problem">{of.error.message}</p>;
  if (of.value === null) return <Skeleton rows={2} />;
  const wanted = [canary.version ?? 0, canary.published_version ?? 0];
  const rows = wanted.map((version): VersionActivity => of.value?.versions?.find((one) => one.version === version) ?? { version });
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{say.version}</th>
          {say.canaryCounts.map(([name, word]) => (
            <th key={name} scope="col" class="number">
              {word}
            </th>
          ))}
          <th scope="col" class="number">
            {say.canaryLatency}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.version}>
            <td class="name">{say.number(row.version ?? 0)}</td>
            {say.canaryCounts.map(([name]) => (
              <td key={name} class="number">
                {Number(row.counts?.[name] ?? 0).toLocaleString()}
              </td>
            ))}
            <td class="number">{row.latency?.p95 === undefined ? "–" : duration(Number.parseFloat(row.latency.p95) * 1_000)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface TryProps {
  readonly version: TemplateVersion;
  readonly path: string;
  readonly running: Canary | null;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

export function Try({ version, path, running, onDone, onClose }: TryProps) {
  const number = version.version ?? 0;
  const start = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    await post(`${path}/versions/${number}:startCanary`, {
      percent: Number(given.get("percent")),
      unit: given.get("unit"),
      note: given.get("note"),
    });
    onDone();
  };
  return (
    <Dialog title={say.tryAsk(number)} action={say.try} onDo={start} onClose={onClose}>
      <p>{say.tryText}</p>
      <label>
        {say.percent}
        <input name="percent" type="number" required min={1} max={99} defaultValue={String(running?.percent ?? 10)} />
      </label>
      <label>
        {say.unit}
        <select name="unit" defaultValue={running?.unit ?? "notification"}>
          <option value="notification">{say.units.notification}</option>
          <option value="user">{say.units.user}</option>
        </select>
      </label>
      <label>
        {say.note}
        <input name="note" maxLength={500} autoComplete="off" defaultValue={running?.note ?? ""} />
      </label>
    </Dialog>
  );
}
