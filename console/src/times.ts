// Times in the viewer's zone, with UTC for those who look closer.
import { signal } from "@preact/signals";

// How far the gateway's clock is ahead of the browser's, which may be wrong by days, as its answers show. Within a minute both are right enough.
const RIGHT_MS = 60_000;
export const ahead = signal(0);

export function heard(date: string | null): void {
  const by = Date.parse(date ?? "") - Date.now();
  const found = Math.abs(by) < RIGHT_MS ? 0 : by;
  if (Math.abs(found - ahead.value) >= RIGHT_MS / 2) ahead.value = found;
}

export const now = (): number => Date.now() + ahead.value;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function shortTime(iso: string, today = new Date(now())): string {
  const time = new Date(iso);
  return time.toDateString() === today.toDateString() ? clock.format(time) : day.format(time);
}

export const between = (from: string, to: string): number => new Date(to).getTime() - new Date(from).getTime();

export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const s = ms / 1_000;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.round((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.round((s % 86_400) / 3_600)} h`;
}
