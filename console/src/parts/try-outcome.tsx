// Sending something to the sandbox with an outcome of one's choice, to see retries and dead letters happen.
import { useSignal } from "@preact/signals";
import { get, post, postAs } from "../api";
import type { CreateApiKeyResponse, ListTemplatesResponse, SendNotificationResponse, Template, TemplateVersion } from "../api-types";
import { navigate } from "../router";
import { may, session, testMode } from "../session";
import { now } from "../times";
import { words } from "../words";
import { Dialog, Skeleton } from "./basics";
import { useRead } from "./reading";
import { sample } from "./template-preview";

const say = words.inbox;
const KEY_MS = 3_600_000;

// Made once for this page by someone who has signed in as a person, for an hour; never shown.
let made: { readonly by: string; readonly key: string; readonly until: number } | null = null;

async function testKey(): Promise<string> {
  const own = session.value?.token ?? "";
  if (testMode.value) return own;
  if (made === null || made.by !== own || made.until < now()) {
    const until = now() + KEY_MS;
    const key = { name: say.keyName, test: true, scopes: ["notifications:send", "notifications:read"], expire_time: new Date(until).toISOString() };
    made = { by: own, key: (await post<CreateApiKeyResponse>("/v1/api-keys", key)).secret ?? "", until: until - 60_000 };
  }
  return made.key;
}

export function TryOutcome() {
  const asking = useSignal(false);
  if (!may("notifications:send") || !may("templates:read") || (!testMode.value && !may("apikeys:write"))) return null;
  return (
    <>
      <button type="button" class="primary" onClick={() => (asking.value = true)}>
        {say.try}
      </button>
      {asking.value && <Try onClose={() => (asking.value = false)} />}
    </>
  );
}

function Try({ onClose }: { onClose: () => void }) {
  const read = useRead<ListTemplatesResponse>("/v1/templates", { channel: "email", page_size: 200 });
  const offered = (read.value?.templates ?? []).filter((one) => one.published_version);
  const send = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const template = offered.find((one) => one.name === given.get("template")) as Template;
    const version = await get<TemplateVersion>(`/v1/templates/${encodeURIComponent(template.name ?? "")}/versions/${template.published_version}`);
    const sent = await postAs<SendNotificationResponse>(await testKey(), "/v1/notifications", {
      to: { email: `${given.get("outcome")}@clarion.test` },
      channel: "email",
      template: template.name,
      variables: JSON.parse(sample(version)),
    });
    navigate(`/inbox/${sent.id}`);
  };
  return (
    <Dialog title={say.try} action={say.tryIt} ready={offered.length > 0} onDo={send} onClose={onClose}>
      <p>{say.tryText}</p>
      <label>
        {say.outcome}
        <select name="outcome">
          {Object.entries(say.outcomes).map(([outcome, what]) => (
            <option key={outcome} value={outcome}>
              {what}
            </option>
          ))}
        </select>
      </label>
      {read.error && <p class="problem">{read.error.message}</p>}
      {read.value === null && !read.error ? (
        <Skeleton rows={1} />
      ) : (
        <label>
          {words.list.template}
          <select name="template">
            {offered.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
      )}
      {read.value !== null && offered.length === 0 && <p class="quiet">{say.noTemplate}</p>}
    </Dialog>
  );
}
