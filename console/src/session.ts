// Who is signed in. The credentials live in this tab's sessionStorage: closing the tab ends them, and no other origin can read them.
import { computed, signal } from "@preact/signals";

export interface Session {
  readonly token: string; // an API key, or an access token
  readonly refresh?: string; // people only
}

const KEY = "clarion.session";

export const session = signal<Session | null>(read());
export const ended = signal(false); // whether the last session ended by itself

export const claims = computed(() => claimsOf(session.value));
export const testMode = computed(() => session.value?.token.startsWith("clk_test_") ?? false);

export interface Claims {
  readonly user?: string; // people only
  readonly project?: string;
  readonly scopes?: ReadonlySet<string>; // unknown for a key: the gateway decides
}

export function may(scope: string): boolean {
  return claims.value.scopes?.has(scope) ?? true;
}

// Only credentials of the first project look after projects; of a key it is not known whose it is.
export const FIRST_PROJECT = "default";
export const inFirstProject = (): boolean => (claims.value.project ?? FIRST_PROJECT) === FIRST_PROJECT;

export function begin(next: Session): void {
  ended.value = false;
  sessionStorage.setItem(KEY, JSON.stringify(next));
  session.value = next;
}

// A tab that was duplicated holds the same tokens. Who renews them lets the others have the new ones: a refresh token that is used once more, and late, ends the
// session of all of them.
const tabs = new BroadcastChannel(KEY);

export function renewed(former: string, next: Session): void {
  begin(next);
  tabs.postMessage({ former, next });
}

tabs.onmessage = ({ data }: MessageEvent<{ former: string; next: Session }>) => {
  if (session.value?.refresh === data.former) begin(data.next);
};

export function end(byItself: boolean): void {
  sessionStorage.removeItem(KEY);
  ended.value = byItself;
  session.value = null;
}

function read(): Session | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return kept !== null && typeof kept === "object" && "token" in kept ? (kept as Session) : null;
  } catch {
    return null;
  }
}

// The token is only read for what to show; the gateway verifies it at every call.
function claimsOf(from: Session | null): Claims {
  const payload = from?.token.split(".")[1];
  if (from === null || payload === undefined || from.token.startsWith("clk_")) return {};
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const read = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: string; project?: string; scope?: string };
    return { ...(read.sub ? { user: read.sub } : {}), ...(read.project ? { project: read.project } : {}), scopes: new Set((read.scope ?? "").split(" ")) };
  } catch {
    return {};
  }
}
