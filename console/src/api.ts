// The public API, as any program calls it: JSON, problem documents, streams of server-sent events.
import type { BeginSignInResponse, Issuer, ListIssuersResponse, LoginResponse } from "./api-types";
import { forgetAll } from "./draft";
import { SECOND_FACTOR, navigate } from "./router";
import { begin, end, renewed, session } from "./session";
import { heard } from "./times";
import { words } from "./words";

// One field of a request that breaks one rule.
export interface Violation {
  readonly field: string;
  readonly description: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly correlationId: string = "",
    readonly violations: readonly Violation[] = [],
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | readonly string[] | undefined>;

export function withQuery(path: string, query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== "") params.append(name, String(one));
    }
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

export async function get<T>(path: string, query: Query = {}): Promise<T> {
  return answer<T>(await request("GET", withQuery(path, query)));
}

// Keys of what was asked for and was not answered: it may have been done. Whoever asks for the same once more gets that answer, and nothing is done twice.
const unanswered = new Map<string, string>();

export async function post<T>(path: string, body?: unknown): Promise<T> {
  // who is not signed in has no keys
  if (path.startsWith("/v1/auth/")) return answer<T>(await request("POST", path, body));
  const asked = `${path}\n${JSON.stringify(body)}`;
  const key = unanswered.get(asked) ?? `console-${Date.now()}-${Math.random()}`;
  unanswered.delete(asked);
  try {
    return await answer<T>(await request("POST", path, body, { headers: { "idempotency-key": `"${key}"` } }));
  } catch (error) {
    if (!(error instanceof ApiError) || error.status === 0 || error.status >= 500 || error.reason === "IDEMPOTENCY_IN_PROGRESS") unanswered.set(asked, key);
    throw error;
  }
}

// With an API key in place of who is signed in, whose session an answer to it does not end.
export async function postAs<T>(key: string, path: string, body: unknown): Promise<T> {
  const response = await send("POST", path, body, { headers: { authorization: `Bearer ${key}` } });
  if (!response.ok) throw await errorOf(response);
  return answer(response);
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  return answer<T>(await request("PUT", path, body));
}

// `etag` stands for the state that was seen: a change by another one meanwhile is not overwritten.
export async function patch<T>(path: string, body: unknown, etag?: string): Promise<T> {
  return answer<T>(await request("PATCH", path, body, etag ? { headers: { "if-match": `"${etag}"` } } : {}));
}

export async function remove<T>(path: string): Promise<T> {
  return answer<T>(await request("DELETE", path));
}

export async function signIn(email: string, password: string, project: string, code: string): Promise<void> {
  const response = await send("POST", "/v1/auth/login", { email, password, ...(project ? { project } : {}), ...(code ? { code } : {}) });
  if (!response.ok) throw await errorOf(response);
  const tokens = (await response.json()) as LoginResponse;
  if (tokens.second_factor_missing) navigate(SECOND_FACTOR, { replace: true });
  begin(sessionOf(tokens));
}

// The next tokens may do more than those of now, such as after a second factor was set up.
export async function renew(): Promise<void> {
  await refresh();
}

export async function issuers(): Promise<readonly Issuer[]> {
  return (await get<ListIssuersResponse>("/v1/auth/issuers")).issuers ?? [];
}

// Between the two steps this tab keeps the flow, without which no one can finish the sign-in, and where to go on.
const FLOW = "clarion.sign-in";

export async function signInAt(issuer: string, to: string): Promise<void> {
  const begun = await post<BeginSignInResponse>("/v1/auth/begin-sign-in", { issuer });
  sessionStorage.setItem(FLOW, JSON.stringify({ flow: begun.flow, to }));
  location.assign(begun.authorization_url ?? "");
}

// Finishes the sign-in with what the issuer has put into the address, and goes on. The flow is used up, whatever comes of it.
export async function comeBack(params: URLSearchParams): Promise<void> {
  const kept = JSON.parse(sessionStorage.getItem(FLOW) ?? "null") as { flow: string; to: string } | null;
  sessionStorage.removeItem(FLOW);
  if (kept === null) throw new ApiError(0, "ELSEWHERE", words.signIn.elsewhere);
  if (params.has("error")) throw new ApiError(0, "REFUSED_THERE", words.signIn.refusedThere);
  const brought = Object.fromEntries(["state", "code", "iss"].map((name) => [name, params.get(name) ?? ""]));
  const response = await send("POST", "/v1/auth/complete-sign-in", { flow: kept.flow, ...brought });
  if (!response.ok) throw await errorOf(response);
  const tokens = sessionOf((await response.json()) as LoginResponse);
  navigate(kept.to, { replace: true });
  begin(tokens);
}

// A key has no sign-in of its own: one small read shows whether it is good.
export async function signInByKey(token: string): Promise<void> {
  const response = await send("GET", "/v1/notifications?page_size=1", undefined, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw await errorOf(response);
  begin({ token });
}

export async function signOut(): Promise<void> {
  const refresh = session.value?.refresh;
  forgetAll();
  end(false);
  // who is signed out here is signed out, whether or not the gateway hears of it
  if (refresh) await send("POST", "/v1/auth/logout", { refresh_token: refresh }).catch(() => undefined);
}

const sessionOf = (tokens: LoginResponse) => ({ token: tokens.access_token ?? "", refresh: tokens.refresh_token ?? "" });

let refreshing: Promise<boolean> | null = null;

// One refresh at a time: a refresh token that is used twice ends the whole session.
function refresh(): Promise<boolean> {
  refreshing ??= (async () => {
    const token = session.value?.refresh;
    if (!token) return false;
    const response = await send("POST", "/v1/auth/refresh", { refresh_token: token });
    if (response.ok) renewed(token, sessionOf((await response.json()) as LoginResponse));
    else if (response.status !== 401) throw await errorOf(response); // the gateway is away; the session may still be good
    return response.ok;
  })().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function request(method: string, path: string, body?: unknown, more: RequestInit = {}): Promise<Response> {
  let response = await send(method, path, body, more);
  if (response.status === 401 && (await refresh())) response = await send(method, path, body, more);
  if (response.ok) return response;
  if (response.status === 401) end(true);
  throw await errorOf(response);
}

// Of the paths below /v1/auth/ these ask who calls; the others are for who has no token yet, or none any more.
const OWN = new Set(["/v1/auth/begin-second-factor", "/v1/auth/confirm-second-factor"]);

async function send(method: string, path: string, body?: unknown, more: RequestInit = {}): Promise<Response> {
  const headers = new Headers({ accept: "application/problem+json, application/json", ...(more.headers as Record<string, string>) });
  const token = session.value?.token;
  if (token && !headers.has("authorization") && (!path.startsWith("/v1/auth/") || OWN.has(path))) headers.set("authorization", `Bearer ${token}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  try {
    const response = await fetch(path, { ...more, method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    heard(response.headers.get("date"));
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "OFFLINE", words.offline);
  }
}

async function answer<T>(response: Response): Promise<T> {
  return (await response.json()) as T;
}

// A stream that ends, one result per line. Throws where it is not whole, which its last line says.
export async function readLines<T>(path: string): Promise<readonly T[]> {
  const response = await request("GET", path, undefined, { headers: { accept: "application/x-ndjson, application/problem+json" } });
  const lines = (await response.text()).split("\n").filter(Boolean);
  return lines.map((line) => {
    const { result, error } = JSON.parse(line) as { result?: T; error?: { message?: string } };
    if (error || result === undefined) throw new ApiError(0, "NOT_WHOLE", error?.message ?? words.offline);
    return result;
  });
}

async function errorOf(response: Response): Promise<ApiError> {
  const id = response.headers.get("x-correlation-id") ?? "";
  try {
    const problem = (await response.json()) as { reason?: string; detail?: string; violations?: readonly Violation[] };
    return new ApiError(response.status, problem.reason ?? "", problem.detail ?? response.statusText, id, problem.violations);
  } catch {
    return new ApiError(response.status, "", response.statusText, id);
  }
}

export interface StreamOptions<T> {
  readonly path: (cursor: string) => string;
  readonly onMessage: (message: T) => void;
  readonly onState: (state: "connecting" | "live" | "lost") => void;
  readonly onRefused: (error: ApiError) => void;
  readonly ends?: boolean; // whether the end that the stream itself says is the end; one that it does not say is an interruption
  readonly signal: AbortSignal;
}

const SILENCE_MS = 40_000; // the gateway shows every 15 s that a stream lives; a laptop that slept hears nothing
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];

// Reads a stream to its end, and goes on behind the last event after each interruption.
export async function follow<T>(options: StreamOptions<T>): Promise<void> {
  let cursor = "";
  let failures = 0;
  while (!options.signal.aborted) {
    options.onState(failures ? "lost" : "connecting");
    try {
      for await (const event of events(options.path(cursor), options.signal, () => options.onState("live"))) {
        failures = 0;
        if (event.id) cursor = event.id;
        if (event.name === "error") break;
        if (event.name === "end") {
          if (options.ends) return;
          break;
        }
        options.onMessage(JSON.parse(event.data) as T);
      }
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof ApiError && error.status === 410) cursor = "";
      else if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        options.onRefused(error);
        return;
      }
    }
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0;
    failures += 1;
    await pause(wait, options.signal);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

interface StreamEvent {
  id: string;
  name: string;
  data: string;
}

async function* events(path: string, outer: AbortSignal, opened: () => void): AsyncGenerator<StreamEvent> {
  const inner = new AbortController();
  const stop = () => inner.abort();
  outer.addEventListener("abort", stop);
  let watch = setTimeout(stop, SILENCE_MS);
  try {
    const response = await request("GET", path, undefined, { signal: inner.signal, headers: { accept: "text/event-stream, application/problem+json" } });
    opened();
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) return;
      clearTimeout(watch);
      watch = setTimeout(stop, SILENCE_MS);
      const blocks = (rest + part.value).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    clearTimeout(watch);
    outer.removeEventListener("abort", stop);
    inner.abort();
  }
}

export function parse(block: string): StreamEvent | null {
  const event: StreamEvent = { id: "", name: "message", data: "" };
  for (const line of block.split(/\r?\n/)) {
    // no pattern with a dot: it stops at U+2028, which texts in JSON may hold
    const colon = line.indexOf(":");
    const field = line.slice(0, Math.max(colon, 0));
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") event.id = value;
    else if (field === "event") event.name = value;
    else if (field === "data") event.data += (event.data ? "\n" : "") + value;
  }
  return event.data ? event : null;
}
