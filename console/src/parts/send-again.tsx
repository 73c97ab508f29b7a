// A sent mail, sent again to another address.
import { post } from "../api";
import type { Notification, ResendNotificationResponse } from "../api-types";
import { navigate } from "../router";
import { words } from "../words";
import { Dialog } from "./basics";

const say = words.one.again;

export function SendAgain({ of, onClose }: { of: Notification; onClose: () => void }) {
  const send = async (form: HTMLFormElement) => {
    const email = String(new FormData(form).get("email") ?? "").trim();
    const made = await post<ResendNotificationResponse>(`/v1/notifications/${encodeURIComponent(of.id ?? "")}:resend`, { to: { email } });
    navigate(`/notifications/${made.id}`);
  };
  return (
    <Dialog title={say.ask} action={say.do} onDo={send} onClose={onClose}>
      <p>{say.text}</p>
      <label>
        {say.address}
        <input name="email" type="email" required maxLength={320} autoComplete="off" />
      </label>
    </Dialog>
  );
}
