// A part of a page that is read by itself: what one may not see is said in its place.
import type { ComponentChildren } from "preact";
import { Skeleton } from "./basics";
import type { Reading } from "./reading";

interface PartProps<T> {
  readonly title: string;
  readonly of: Reading<T>;
  readonly none: (read: T) => string | null; // what is said where there is nothing
  readonly children: (read: T) => ComponentChildren;
}

export function Part<T>({ title, of, none, children }: PartProps<T>) {
  const said = of.value === null ? null : none(of.value);
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {of.error ? <p class="problem">{of.error.message}</p> : of.value === null ? <Skeleton rows={1} /> : said ? <p class="quiet">{said}</p> : children(of.value)}
    </section>
  );
}
