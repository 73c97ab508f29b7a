// Keys that work everywhere, as long as nothing is being typed.
import { signal } from "@preact/signals";

export const helpOpen = signal(false);

export function listen(): void {
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target instanceof HTMLElement && event.target.matches("input, select, textarea, .code")) return;
    const act = { j: () => step(1), k: () => step(-1), "/": () => focus("[data-first-filter]"), p: () => click("[data-pause]"), r: () => click("[data-requeue]"), x: () => click("[data-discard]"), e: () => click("[data-edit]"), n: () => click("[data-note]"), "?": () => (helpOpen.value = true) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function step(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

const focus = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus();
const click = (selector: string) => document.querySelector<HTMLElement>(selector)?.click();
