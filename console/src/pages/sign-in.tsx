import { useSignal } from "@preact/signals";
import { signIn, signInByKey, type ApiError } from "../api";
import { asApiError } from "../parts/basics";
import { ended } from "../session";
import { words } from "../words";

const say = words.signIn;

export function SignIn() {
  const byKey = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal<string>("");

  const submit = async (form: HTMLFormElement) => {
    const field = (name: string) => String(new FormData(form).get(name) ?? "").trim();
    busy.value = true;
    error.value = "";
    try {
      if (byKey.value) await signInByKey(field("key"));
      else await signIn(field("email"), String(new FormData(form).get("password") ?? ""), field("project"));
    } catch (problem) {
      error.value = wordsFor(asApiError(problem), byKey.value);
    } finally {
      busy.value = false;
    }
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
          </>
        )}
        {error.value && (
          <p role="alert" class="problem">
            {error.value}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? say.busy : say.submit}
        </button>
      </form>
    </main>
  );
}

function wordsFor(error: ApiError, byKey: boolean): string {
  if (byKey && error.status === 401) return say.badKey;
  return error.status === 403 ? say.notAllowed : error.message;
}
