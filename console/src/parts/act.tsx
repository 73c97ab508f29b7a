import { useSignal } from "@preact/signals";
import type { ApiError } from "../api";
import { asApiError } from "./basics";
import { useOnce } from "./reading";

// A button that does something at once, and says beside itself what refuses it. `of` says to what, where there are several.
export function Act({ label, of, onDo }: { label: string; of?: string; onDo: () => Promise<unknown> }) {
  const error = useSignal<ApiError | null>(null);
  const act = useOnce(async () => {
    error.value = null;
    try {
      await onDo();
    } catch (problem) {
      error.value = asApiError(problem);
    }
  });
  return (
    <>
      <button type="button" aria-label={of && `${label} ${of}`} onClick={act}>
        {label}
      </button>
      {error.value && (
        <span role="alert" class="problem">
          {" "}
          {error.value.message}
        </span>
      )}
    </>
  );
}
