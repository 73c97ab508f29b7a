// A page whose script is fetched when it is first shown, so that the others need not wait for it.
import { signal, useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import type { ApiError } from "../api";
import { Failure, Skeleton, asApiError } from "./basics";

export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  const loaded = signal<ComponentType<Props> | null>(null);
  return function Later(props: Props) {
    const error = useSignal<ApiError | null>(null);
    useEffect(() => {
      if (loaded.value === null) void load().then((Page) => (loaded.value = Page), (problem) => (error.value = asApiError(problem)));
    }, []);
    // after a deployment the script has another name, which only the page as it is now knows
    if (error.value) return <Failure alone error={error.value} retry={() => location.reload()} />;
    const Page = loaded.value;
    return Page === null ? <Skeleton /> : <Page {...props} />;
  };
}
