// The difference of two texts by lines: what a reviewer of a template looks at.

export interface Line {
  readonly kind: "same" | "gone" | "new";
  readonly text: string;
}

// The longest common subsequence, behind a common beginning and before a common end.
export function diff(before: string, after: string): Line[] {
  const old = before === "" ? [] : before.split("\n");
  const now = after === "" ? [] : after.split("\n");
  let from = 0;
  while (from < old.length && from < now.length && old[from] === now[from]) from += 1;
  let end = 0;
  while (end < old.length - from && end < now.length - from && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  const same = (lines: readonly string[]): Line[] => lines.map((text) => ({ kind: "same", text }));
  const middle = between(old.slice(from, old.length - end), now.slice(from, now.length - end));
  return [...same(old.slice(0, from)), ...middle, ...same(old.slice(old.length - end))];
}

function between(old: readonly string[], now: readonly string[]): Line[] {
  const width = now.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  const at = (row: number, column: number) => longest[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = now.length - 1; column >= 0; column -= 1) {
      longest[row * width + column] = old[row] === now[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < old.length || column < now.length) {
    if (row < old.length && column < now.length && old[row] === now[column]) {
      lines.push({ kind: "same", text: old[row] ?? "" });
      row += 1;
      column += 1;
    } else if (row < old.length && (column === now.length || at(row + 1, column) >= at(row, column + 1))) {
      lines.push({ kind: "gone", text: old[row] ?? "" });
      row += 1;
    } else {
      lines.push({ kind: "new", text: now[column] ?? "" });
      column += 1;
    }
  }
  return lines;
}
