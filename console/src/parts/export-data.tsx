// What is held about a person, as a file of this machine: the document that `clarion users export-data` writes.
import { readLines } from "../api";
import { words } from "../words";
import { Act } from "./act";

const LISTS: Readonly<Record<string, string>> = { device: "devices", suppression: "suppressions", identity: "identities", notification: "notifications" };

export function ExportData({ id }: { readonly id: string }) {
  const save = async () => {
    const items = await readLines<Record<string, unknown>>(`/v1/users/${encodeURIComponent(id)}:exportPersonalData`);
    const document_: Record<string, unknown> = Object.fromEntries(Object.values(LISTS).map((name) => [name, []]));
    for (const [kind, value] of items.flatMap((item) => Object.entries(item))) {
      const list = LISTS[kind];
      if (list) (document_[list] as unknown[]).push(value);
      else document_[kind] = value;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(document_, null, 2), "\n"], { type: "application/json" }));
    link.download = `${id}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser has begun to read it by then
  };
  return <Act label={words.people.exportData} onDo={save} />;
}
