// A new password for who has lost theirs, and the proof of an address. A mail's link holds the token behind "#", which no server gets to see.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { post, type ApiError } from "../api";
import { asApiError } from "../parts/basics";
import { Link, navigate, path } from "../router";
import { end } from "../session";
import { words } from "../words";

const say = words.account;
export const ACCOUNT_PAGES = { "forgot-password": ForgotPassword, "reset-password": ResetPassword, "verify-address": VerifyAddress } as const;

interface FormProps {
  readonly title: string;
  readonly lead: string;
  readonly action: string;
  readonly done: string;
  readonly onSubmit: (data: FormData) => Promise<void>;
  readonly children?: ComponentChildren;
}

// One form, one call, and then one sentence.
function AccountForm({ title, lead, action, done, onSubmit, children }: FormProps) {
  const state = useSignal<"open" | "busy" | "done">("open");
  const error = useSignal("");
  useEffect(() => {
    document.title = `${title} · ${words.product}`;
  }, []);
  const submit = async (form: HTMLFormElement) => {
    state.value = "busy";
    error.value = "";
    try {
      await onSubmit(new FormData(form));
      state.value = "done";
    } catch (problem) {
      error.value = wordsFor(asApiError(problem));
      state.value = "open";
    }
  };
  return (
    <main class="sign-in" id="content">
      <form onSubmit={(event) => (event.preventDefault(), void submit(event.currentTarget))}>
        <h1>{title}</h1>
        {state.value === "done" ? (
          <p role="status">{done}</p>
        ) : (
          <>
            <p class="quiet">{lead}</p>
            {children}
            {error.value && (
              <p role="alert" class="problem">
                {error.value}
              </p>
            )}
            <button type="submit" class="primary" disabled={state.value === "busy"}>
              {action}
            </button>
          </>
        )}
        <Link to="/">{say.toSignIn}</Link>
      </form>
    </main>
  );
}

function ForgotPassword() {
  const ask = async (data: FormData) => {
    const project = field(data, "project");
    await post("/v1/auth/request-password-reset", { email: field(data, "email"), ...(project ? { project } : {}) });
  };
  return (
    <AccountForm title={say.forgot} lead={say.forgotLead} action={say.send} done={say.sent} onSubmit={ask}>
      <label>
        {words.signIn.email}
        <input name="email" type="email" required autoComplete="username" />
      </label>
      <label>
        {words.signIn.project}
        <input name="project" autoComplete="organization" spellcheck={false} placeholder="default" />
        <small>{words.signIn.projectHint}</small>
      </label>
    </AccountForm>
  );
}

function ResetPassword() {
  const token = useToken();
  const reset = async (data: FormData) => {
    await post("/v1/auth/reset-password", { token: token || field(data, "token"), new_password: String(data.get("password") ?? "") });
    end(false); // the session of this tab is over
  };
  return (
    <AccountForm title={say.reset} lead={say.resetLead} action={say.set} done={say.isSet} onSubmit={reset}>
      {!token && <Code />}
      <label>
        {say.newPassword}
        <input name="password" type="password" required minLength={15} maxLength={256} autoComplete="new-password" />
        <small>{say.newPasswordHint}</small>
      </label>
    </AccountForm>
  );
}

// A click, since programs that look at mails open their links.
function VerifyAddress() {
  const token = useToken();
  const verify = (data: FormData) => post<void>("/v1/auth/verify-address", { token: token || field(data, "token") });
  return (
    <AccountForm title={say.verify} lead={say.verifyLead} action={say.confirm} done={say.verified} onSubmit={verify}>
      {!token && <Code />}
    </AccountForm>
  );
}

function Code() {
  return (
    <label>
      {say.code}
      <input name="token" required autoComplete="one-time-code" spellcheck={false} />
    </label>
  );
}

// What the link holds. It does not stay in the address, where the browser's history would keep it.
function useToken(): string {
  const token = useSignal(window.location.hash.slice(1));
  useEffect(() => {
    if (window.location.hash) navigate(path.value, { replace: true });
  }, []);
  return token.value;
}

function field(data: FormData, name: string): string {
  return String(data.get(name) ?? "").trim();
}

function wordsFor(error: ApiError): string {
  return error.reason === "RESET_LINK_INVALID" || error.reason === "VERIFICATION_LINK_INVALID" ? say.badLink : error.message;
}
