// One's own second factor: set it up with an authenticator app, and turn it off.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post, renew } from "../api";
import type { BeginSecondFactorResponse, ConfirmSecondFactorResponse, SecondFactor } from "../api-types";
import { Copy, asApiError } from "../parts/basics";
import { claims } from "../session";
import { words } from "../words";

const say = words.secondFactor;

export function OwnSecondFactor() {
  const own = `/v1/users/${claims.value.user ?? ""}`;
  const standing = useSignal<SecondFactor | null>(null);
  const begun = useSignal<BeginSecondFactorResponse | null>(null);
  const recovery = useSignal<readonly string[]>([]);
  const busy = useSignal(false);
  const error = useSignal("");

  const attempt = async (what: () => Promise<void>) => {
    busy.value = true;
    error.value = "";
    try {
      await what();
    } catch (problem) {
      error.value = asApiError(problem).message;
    } finally {
      busy.value = false;
    }
  };
  const read = async () => {
    standing.value = await get<SecondFactor>(`${own}/second-factor`);
  };
  useEffect(() => void attempt(read), []);

  const begin = async (password: string) => {
    begun.value = await post<BeginSecondFactorResponse>("/v1/auth/begin-second-factor", { current_password: password });
  };
  const confirm = async (code: string) => {
    recovery.value = (await post<ConfirmSecondFactorResponse>("/v1/auth/confirm-second-factor", { code })).recovery_codes ?? [];
    begun.value = null;
    await renew();
    await read();
  };
  const remove = async (code: string) => {
    await post(`${own}:removeSecondFactor`, { code });
    recovery.value = [];
    await read();
  };

  return (
    <section class="second-factor">
      <h1>{say.title}</h1>
      <p class="quiet">{say.lead}</p>
      {standing.value && <p role="status">{standing.value.enabled ? say.on(standing.value.recovery_codes_left ?? 0) : say.off}</p>}
      {begun.value && (
        <>
          <p>{say.secret}</p>
          <p>
            <code>{begun.value.secret}</code> <Copy text={begun.value.secret ?? ""} label={say.title} />
          </p>
          <p>
            <a href={begun.value.otpauth_uri ?? ""}>{say.open}</a>
          </p>
          <Ask key="confirm" label={say.code} action={say.confirm} busy={busy.value} onAnswer={(code) => attempt(() => confirm(code))} />
        </>
      )}
      {recovery.value.length > 0 && (
        <>
          <h2>{say.recovery}</h2>
          <p>{say.recoveryLead}</p>
          <pre>{recovery.value.join("\n")}</pre>
          <Copy text={recovery.value.join("\n")} label={say.recovery} />
        </>
      )}
      {standing.value && !standing.value.enabled && !begun.value && (
        <Ask key="begin" label={say.password} action={say.begin} secret busy={busy.value} onAnswer={(password) => attempt(() => begin(password))} />
      )}
      {standing.value?.enabled && (
        <Ask key="remove" label={say.removing} action={say.remove} busy={busy.value} onAnswer={(code) => attempt(() => remove(code))} />
      )}
      {error.value && (
        <p role="alert" class="problem">
          {error.value}
        </p>
      )}
    </section>
  );
}

interface AskProps {
  readonly label: string;
  readonly action: string;
  readonly secret?: boolean;
  readonly busy: boolean;
  readonly onAnswer: (text: string) => Promise<void>;
}

function Ask({ label, action, secret, busy, onAnswer }: AskProps) {
  const submit = (form: HTMLFormElement) => void onAnswer(String(new FormData(form).get("answer") ?? ""));
  return (
    <form onSubmit={(event) => (event.preventDefault(), submit(event.currentTarget))}>
      <label>
        {label}
        {secret ? (
          <input name="answer" type="password" required autoComplete="current-password" />
        ) : (
          <input name="answer" required autoComplete="one-time-code" spellcheck={false} />
        )}
      </label>
      <button type="submit" class="primary" disabled={busy}>
        {action}
      </button>
    </form>
  );
}
