// Deep links: the address says what is shown, filters included.
import { computed, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

const BASE = "/console";
// Where an issuer sends the browser back to.
export const COME_BACK = "/sign-in";

export const SECOND_FACTOR = "/second-factor";

const location_ = signal(here());

export const path = computed(() => location_.value.path);
export const query = computed(() => new URLSearchParams(location_.value.search));

function here() {
  return { path: window.location.pathname.slice(BASE.length) || "/", search: window.location.search };
}

// A page with work that is not done: going elsewhere waits here until the question has been answered.
let guarded = "";
export const leaving = signal<(() => void) | null>(null);

export function guard(on: boolean): void {
  guarded = on ? path.value : "";
  if (!on) leaving.value = null;
}

// Goes on, after a question where there is one to be asked.
export function leave(go: () => void): void {
  if (guarded) leaving.value = go;
  else go();
}

window.addEventListener("popstate", () => {
  const next = here();
  if (guarded && next.path !== guarded) {
    history.pushState(null, "", BASE + location_.value.path + location_.value.search);
    leave(() => navigate(next.path + next.search));
  } else location_.value = next;
});

window.addEventListener("beforeunload", (event) => {
  if (guarded) event.preventDefault();
});

export function navigate(to: string, { replace = false } = {}): void {
  if (guarded && to.split("?", 1)[0] !== guarded) return leave(() => navigate(to));
  if (replace) history.replaceState(null, "", BASE + to);
  else {
    history.pushState(null, "", BASE + to);
    window.scrollTo(0, 0);
  }
  location_.value = here();
}

export function setQuery(changes: Record<string, string>): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const text = next.toString();
  navigate(path.value + (text ? `?${text}` : ""), { replace: true });
}

// A part of the path. What is no encoding of anything stands for itself: the gateway says that there is no such thing.
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

interface LinkProps {
  readonly to: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly "aria-current"?: "page" | "true" | undefined;
  readonly onFocus?: () => void;
  readonly "data-row"?: boolean;
}

export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={BASE + to}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        navigate(to);
      }}
    >
      {children}
    </a>
  );
}
