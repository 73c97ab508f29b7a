// API keys: those that work, one that is made and shown this once, and one that is revoked.
import { useSignal } from "@preact/signals";
import { post, remove } from "../api";
import type { ApiKey, CreateApiKeyResponse, ListApiKeysResponse } from "../api-types";
import { words } from "../words";
import { Ask, Copy, Dialog, More, Time } from "./basics";
import { usePages } from "./reading";

const say = words.keysOfPrograms;

export function ApiKeys() {
  const pages = usePages<ListApiKeysResponse, ApiKey>("/v1/api-keys", { page_size: 50 }, (page) => page.api_keys);
  const making = useSignal(false);
  const made = useSignal<CreateApiKeyResponse | null>(null);
  const revoking = useSignal<ApiKey | null>(null);
  return (
    <section aria-label={say.title}>
      <header class="head">
        <h2>{say.title}</h2>
        <button type="button" onClick={() => (making.value = true)}>
          {say.make}
        </button>
      </header>
      {made.value && <ShownOnce of={made.value} />}
      {pages.error && <p class="problem">{pages.error.message}</p>}
      {pages.rows?.length === 0 && <p class="quiet">{say.none}</p>}
      {!!pages.rows?.length && (
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">{say.name}</th>
              <th scope="col">{say.beginning}</th>
              <th scope="col">{say.scopes}</th>
              <th scope="col">{say.ends}</th>
              <th scope="col">{say.revoke}</th>
            </tr>
          </thead>
          <tbody>
            {pages.rows.map((one) => (
              <tr key={one.id}>
                <td class="main words">{one.name}</td>
                <td>
                  <code>{one.prefix}…</code>
                </td>
                <td class="words">
                  {one.scopes?.join(", ")}
                  {one.restrictions && <p class="quiet">{narrowed(one)}</p>}
                </td>
                <td>{one.expire_time ? <Time iso={one.expire_time} /> : say.never}</td>
                <td>
                  <button type="button" onClick={() => (revoking.value = one)} aria-label={`${say.revoke} ${one.name}`}>
                    {say.revoke}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <More more={pages.more} end={false} />
      {making.value && (
        <MakeKey
          onMade={(answer) => {
            made.value = answer;
            pages.again();
          }}
          onClose={() => (making.value = false)}
        />
      )}
      {revoking.value && (
        <Ask
          title={say.revokeAsk(revoking.value.name ?? "")}
          text={say.revokeText}
          action={say.revoke}
          danger
          onDo={async () => {
            await remove(`/v1/api-keys/${revoking.value?.id}`);
            pages.again();
          }}
          onClose={() => (revoking.value = null)}
        />
      )}
    </section>
  );
}

const narrowed = ({ restrictions }: ApiKey) =>
  say.narrowed([...(restrictions?.templates ?? []), ...(restrictions?.categories ?? []), ...(restrictions?.recipient_domains ?? [])].join(", "));

export function ShownOnce({ of }: { of: CreateApiKeyResponse }) {
  return (
    <div class="captured" role="status">
      <p>
        <b>{say.shownOnce}</b>
      </p>
      <p>
        <code>{of.secret}</code> <Copy text={of.secret ?? ""} label={say.secret} />
      </p>
    </div>
  );
}

interface MakeProps {
  readonly onMade: (made: CreateApiKeyResponse) => void;
  readonly onClose: () => void;
  readonly title?: string;
  readonly project?: string; // another one than that of who is signed in
  readonly scopes?: string; // what is filled in
}

export function MakeKey({ onMade, onClose, title = say.makeAsk, project, scopes = "notifications:send" }: MakeProps) {
  const make = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const list = (name: string) => String(given.get(name) ?? "").split(/[\s,]+/).filter(Boolean);
    const restrictions = { templates: list("templates"), recipient_domains: list("domains") };
    const key = { name: given.get("name"), scopes: list("scopes"), test: given.has("test"), ...(project ? { project } : {}) };
    const narrow = restrictions.templates.length + restrictions.recipient_domains.length > 0;
    onMade(await post<CreateApiKeyResponse>("/v1/api-keys", narrow ? { ...key, restrictions } : key));
  };
  return (
    <Dialog title={title} action={say.make} onDo={make} onClose={onClose}>
      <label>
        {say.name}
        <input name="name" required maxLength={100} autoComplete="off" />
      </label>
      <label>
        {say.scopesLong}
        <input name="scopes" required autoComplete="off" value={scopes} />
      </label>
      <label>
        {say.onlyTemplates}
        <input name="templates" autoComplete="off" placeholder="receipt-*" />
      </label>
      <label>
        {say.onlyDomains}
        <input name="domains" autoComplete="off" placeholder="example.com" />
      </label>
      <label class="tick">
        <input type="checkbox" name="test" /> {say.test}
      </label>
    </Dialog>
  );
}
