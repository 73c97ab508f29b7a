// A sent mail, sent again to another address.
import { useRef } from "preact/hooks";
import { post } from "../api";
import type { Notification, ResendNotificationResponse } from "../api-types";
import { navigate } from "../router";
import { words } from "../words";
import { Dialog } from "./basics";

const say = words.one.again;

export function SendAgain({ of, onClose }: { of: Notification; onClose: () => void }) {
  // one for all tries of this dialog, so that an answer that was lost makes no second mail
  const request = useRef(`console-${Date.now()}-${Math.random()}`);
  const send = async (form: HTMLFormElement) => {
    const email = String(new FormData(form).get("email") ?? "").trim();
    const body = { to: { email }, request_id: `${request.current}-${encodeURIComponent(email)}`.slice(0, 255) };
    const made = await post<ResendNotificationResponse>(`/v1/notifications/${encodeURIComponent(of.id ?? "")}:resend`, body);
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
