// A list of the API in each of its states: refused, still being read, empty, and page by page.
import type { ComponentChildren } from "preact";
import { Empty, Failure, More, Skeleton } from "./basics";
import type { Pages } from "./reading";

interface ListedProps<Row> {
  readonly list: Pages<Row>;
  readonly title: string; // and the hint: what is said where there is nothing
  readonly hint: string;
  readonly awaited?: number; // rows that are drawn while it is being read
  readonly children: (rows: readonly Row[]) => ComponentChildren;
}

export function Listed<Row>({ list, title, hint, awaited = 6, children }: ListedProps<Row>) {
  if (list.error) return <Failure error={list.error} retry={list.again} />;
  if (list.rows === null) return <Skeleton rows={awaited} />;
  if (list.rows.length === 0) return <Empty title={title} hint={hint} />;
  return (
    <>
      {children(list.rows)}
      <More more={list.more} />
    </>
  );
}
