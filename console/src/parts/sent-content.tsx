// What a sent notification said. It is read when someone asks for it, since reading it is noted in the audit log.
import { useSignal } from "@preact/signals";
import { get, type ApiError } from "../api";
import type { SentContent } from "../api-types";
import { words } from "../words";
import { asApiError } from "./basics";
import { Message } from "./message";

const say = words.one.text;

export function Said({ id }: { id: string }) {
  const read = useSignal<SentContent | null>(null);
  const error = useSignal<ApiError | null>(null);
  const busy = useSignal(false);
  const show = async () => {
    busy.value = true;
    error.value = null;
    try {
      read.value = await get<SentContent>(`/v1/notifications/${encodeURIComponent(id)}/content`);
    } catch (problem) {
      error.value = asApiError(problem);
    }
    busy.value = false;
  };
  return (
    <section aria-labelledby="said">
      <h2 id="said">{say.title}</h2>
      {read.value ? (
        <Text of={read.value} />
      ) : (
        <>
          <p class="quiet">{say.lead}</p>
          <div>
            <button type="button" disabled={busy.value} onClick={() => void show()}>
              {say.show}
            </button>
          </div>
        </>
      )}
      {error.value && (
        <p role="alert" class="problem">
          {error.value.message}
        </p>
      )}
    </section>
  );
}

export function Text({ of }: { of: SentContent }) {
  const masked = of.masked_variables ?? [];
  return (
    <div class="captured wide" role="group" aria-label={say.title}>
      <p class="quiet">
        {say.written(of.locale ?? "", of.template_version ?? 0)}
        {of.sender?.email && (
          <>
            {" "}
            {say.from} <b>{of.sender.display_name ? `${of.sender.display_name} <${of.sender.email}>` : of.sender.email}</b>.
          </>
        )}
      </p>
      {masked.length > 0 && <p class="notice">{say.masked(masked)}</p>}
      {of.content && <Message of={of.content} />}
    </div>
  );
}
