// On a phone a row of a table is a block, and its heading is out of sight: each cell says its own, by the heading above it.
const NARROW = matchMedia("(max-width: 820px)");

export function labelCells(): void {
  const label = () => {
    if (!NARROW.matches) return;
    for (const table of document.querySelectorAll<HTMLTableElement>("table.rows")) {
      const names = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent?.trim() ?? "");
      for (const row of table.querySelectorAll<HTMLTableRowElement>("tbody tr:not([data-labelled])")) {
        row.dataset["labelled"] = "";
        [...row.cells].forEach((cell, place) => (cell.dataset["label"] = names[place] ?? ""));
      }
    }
  };
  let frame = 0;
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      label();
    });
  };
  new MutationObserver(later).observe(document.body, { childList: true, subtree: true });
  NARROW.addEventListener("change", later);
}
