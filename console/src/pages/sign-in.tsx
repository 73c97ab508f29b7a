import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { comeBack, issuers, signIn, signInAt, signInByKey, type ApiError } from "../api";
import type { Issuer } from "../api-types";
import { asApiError } from "../parts/basics";
import { COME_BACK, Link, navigate, path, query } from "../router";
import { ended } from "../session";
import { words } from "../words";

const say = words.signIn;

export function SignIn() {
  const byKey = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal<string>("");
  const offered = useSignal<readonly Issuer[]>([]);
  const needsCode = useSignal(false);
  const comingBack = path.value === COME_BACK && query.value.size > 0;

  const attempt = async (what: () => Promise<void>, say: (problem: ApiError) => string) => {
    busy.value = true;
    error.value = "";
    try {
      await what();
    } catch (problem) {
      const refused = asApiError(problem);
      if (refused.reason === "SECOND_FACTOR_REQUIRED") needsCode.value = true;
      else error.value = say(refused);
    } finally {
      busy.value = false;
    }
  };

  useEffect(() => {
    // without issuers, or while they can't be listed, the form is there all the same
    issuers().then((found) => (offered.value = found), () => undefined);
    if (!comingBack) return;
    const brought = query.value;
    navigate(COME_BACK, { replace: true }); // a code does not stay in the address
    void attempt(() => comeBack(brought), (problem) => problem.message);
  }, []);

  const submit = async (form: HTMLFormElement) => {
    const field = (name: string) => String(new FormData(form).get(name) ?? "").trim();
    const enter = () =>
      byKey.value ? signInByKey(field("key")) : signIn(field("email"), String(new FormData(form).get("password") ?? ""), field("project"), field("code"));
    await attempt(enter, (problem) => wordsFor(problem, byKey.value));
  };
  const goTo = (issuer: string) => {
    const to = path.value === COME_BACK ? "/notifications" : path.value + window.location.search;
    void attempt(() => signInAt(issuer, to), (problem) => problem.message);
  };

  return (
    <main class="sign-in" id="content">
      <form onSubmit={(event) => (event.preventDefault(), void submit(event.currentTarget))}>
        <h1>{say.title}</h1>
        <p class="quiet">{say.lead}</p>
        {ended.value && (
          <p class="notice" role="status">
            {say.ended}
          </p>
        )}
        <div class="switch" role="group" aria-label={say.submit}>
          {[false, true].map((key) => (
            <button key={String(key)} type="button" aria-pressed={byKey.value === key} onClick={() => ((byKey.value = key), (error.value = ""))}>
              {key ? say.key : say.password}
            </button>
          ))}
        </div>
        {byKey.value ? (
          <label key="key">
            {say.key}
            <input name="key" type="password" required autoComplete="off" spellcheck={false} placeholder="clk_live_…" />
            <small>{say.keyHint}</small>
          </label>
        ) : (
          <>
            <label>
              {say.email}
              <input name="email" type="email" required autoComplete="username" />
            </label>
            <label>
              {say.password}
              <input name="password" type="password" required autoComplete="current-password" />
            </label>
            <label>
              {say.project}
              <input name="project" autoComplete="organization" spellcheck={false} placeholder="default" />
              <small>{say.projectHint}</small>
            </label>
            {needsCode.value && (
              <label>
                {say.code}
                <input name="code" required autoComplete="one-time-code" spellcheck={false} ref={focus} />
                <small>{say.codeHint}</small>
              </label>
            )}
          </>
        )}
        {!byKey.value && <Link to="/forgot-password">{say.forgot}</Link>}
        {error.value && (
          <p role="alert" class="problem">
            {error.value}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? say.busy : say.submit}
        </button>
        {offered.value.map((issuer) => (
          <button key={issuer.id} type="button" disabled={busy.value} onClick={() => goTo(issuer.id ?? "")}>
            {say.at(issuer.title ?? "")}
          </button>
        ))}
      </form>
    </main>
  );
}

function focus(field: HTMLInputElement | null): void {
  field?.focus();
}

function wordsFor(error: ApiError, byKey: boolean): string {
  if (byKey && error.status === 401) return say.badKey;
  return error.status === 403 ? say.notAllowed : error.message;
}
