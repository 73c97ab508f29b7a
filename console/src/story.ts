// What happened to a notification, worked out from its timeline. Pure, so that `node --test` can check it.
import type { Notification, NotificationStatus, TimelineEntry } from "./api-types";
import { between, duration } from "./times";
import { causes, channelWord } from "./words";

export const TERMINAL: ReadonlySet<NotificationStatus> = new Set(["sent", "failed", "skipped", "cancelled", "expired"]);
export const CANCELLABLE: ReadonlySet<NotificationStatus> = new Set(["scheduled", "pending", "queued", "retrying"]);

export interface Step {
  readonly entry: TimelineEntry;
  readonly status: NotificationStatus;
  readonly lasted: number; // ms until the next step; 0 for a last one that ends the story
  readonly open: boolean; // whether it still lasts
}

export function steps(of: Notification, now: number): Step[] {
  const timeline = of.timeline ?? [];
  return timeline.map((entry, index) => {
    const next = timeline[index + 1]?.time;
    const status = entry.status ?? "pending";
    const open = next === undefined && !TERMINAL.has(status);
    const lasted = entry.fact || (next && timeline[index + 1]?.fact) ? 0 : next ? between(entry.time ?? next, next) : open ? now - new Date(entry.time ?? now).getTime() : 0;
    return { entry, status, lasted: Math.max(0, lasted), open };
  });
}

export interface Attempt {
  readonly number: number;
  readonly entry: TimelineEntry; // the last word about it
}

// A requeued notification counts its tries anew; each run's tries stay apart because their order does.
export function attempts(of: Notification): Attempt[] {
  const found: Attempt[] = [];
  for (const entry of of.timeline ?? []) {
    const number = entry.attempt ?? 0;
    if (number === 0 || entry.status === "cancelled") continue;
    const last = found.at(-1);
    if (last?.number === number && !TERMINAL.has(last.entry.status ?? "pending")) found[found.length - 1] = { number, entry };
    else if (last === undefined || last.number !== number || entry.status === "sending") found.push({ number, entry });
  }
  return found;
}

const times = (count: number) => (count === 1 ? "one attempt" : `${count} attempts`);

export function sentence(of: Notification): string {
  const by = of.channel ? channelWord[of.channel] : "message";
  const reason = of.reason ?? "";
  const last = of.timeline?.at(-1);
  const why = causes[reason] ?? (last?.detail ? `${last.detail} (${reason})` : reason || "no reason was given");
  const took = of.create_time && of.update_time ? duration(between(of.create_time, of.update_time)) : "";
  const next = last?.next_attempt_time;
  const until = next ?? of.send_at;
  const waits = `waits until ${until ? new Date(until).toLocaleString() : "its time has come"}${reason ? `: ${why}` : ""}.`;
  switch (of.status) {
    case "sent":
      return `The provider took this ${by} at attempt ${of.attempts || 1}, ${took} after it was accepted.`;
    case "failed":
      return `This ${by} was not delivered after ${times(of.attempts ?? 0)}: ${why}. It waits for review.`;
    case "skipped":
      return `This ${by} was not sent on purpose: ${why}.`;
    case "cancelled":
      return `This ${by} was cancelled before anything was sent.`;
    case "expired":
      return `This ${by} was not sent: its time ran out first.`;
    case "retrying":
      if (last?.status === "scheduled") return `${times(of.attempts ?? 0).replace(/^o/, "O")} failed; the next one ${waits}`;
      return `${times(of.attempts ?? 0).replace(/^o/, "O")} failed (${why}); the next one is planned${next ? ` for ${new Date(next).toLocaleTimeString()}` : ""}.`;
    case "scheduled":
      return `This ${by} ${waits}`;
    case "sending":
      return `A worker is handing this ${by} to the provider.`;
    case "queued":
      return `This ${by} is queued and waits for a worker.`;
    default:
      return `This ${by} is accepted and stored.`;
  }
}
