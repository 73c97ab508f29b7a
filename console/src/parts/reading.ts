// Reading from the API in a page: what was read last stays on the screen until the next answer is there.
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get, withQuery, type ApiError, type Query } from "../api";
import { asApiError } from "./basics";

export interface Reading<T> {
  readonly value: T | null;
  readonly error: ApiError | null;
  readonly again: () => void;
}

export function useRead<T>(path: string, query: Query = {}): Reading<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<ApiError | null>(null);
  const turn = useSignal(0);
  const key = withQuery(path, query);
  useEffect(() => {
    let current = true;
    error.value = null;
    get<T>(key).then(
      (read) => current && (value.value = read),
      (problem) => current && (error.value = asApiError(problem)),
    );
    return () => {
      current = false;
    };
  }, [key, turn.value]);
  return { value: value.value, error: error.value, again: () => (turn.value += 1) };
}

// What is running is not begun again: a double click is one click.
export function useOnce<Given extends unknown[]>(doing: (...given: Given) => Promise<unknown>): (...given: Given) => void {
  const running = useRef(false);
  return (...given) => {
    if (running.current) return;
    running.current = true;
    void doing(...given).finally(() => (running.current = false));
  };
}

export interface Pages<Row> {
  readonly rows: readonly Row[] | null;
  readonly error: ApiError | null;
  readonly again: () => void;
  readonly more: (() => void) | null; // null at the end
}

// A list whose pages are read one after the other.
export function usePages<Answer extends { next_page_token?: string }, Row>(path: string, query: Query, rowsOf: (answer: Answer) => readonly Row[] | undefined): Pages<Row> {
  const first = useRead<Answer>(path, query);
  const rest: Signal<readonly Row[]> = useSignal([]);
  const token = useSignal("");
  const error = useSignal<ApiError | null>(null);
  useEffect(() => {
    rest.value = [];
    error.value = null;
    token.value = first.value?.next_page_token ?? "";
  }, [first.value]);
  const latest = useRef(first.value);
  latest.current = first.value;
  const more = useOnce(async () => {
    const of = first.value;
    try {
      const page = await get<Answer>(path, { ...query, page_token: token.value });
      if (latest.current !== of) return; // it goes on from a list that is shown no longer
      rest.value = [...rest.value, ...(rowsOf(page) ?? [])];
      token.value = page.next_page_token ?? "";
    } catch (problem) {
      error.value = asApiError(problem);
    }
  });
  return {
    rows: first.value && [...(rowsOf(first.value) ?? []), ...rest.value],
    error: first.error ?? error.value,
    again: first.again,
    more: token.value ? more : null,
  };
}
