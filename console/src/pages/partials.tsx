// Pieces of source that templates share: layouts, footers, the values of a brand.
import { useSignal } from "@preact/signals";
import type { ListPartialsResponse, Partial } from "../api-types";
import { Dialog, Time } from "../parts/basics";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { Link, navigate } from "../router";
import { may } from "../session";
import { words } from "../words";

const say = words.partials;

export function Partials() {
  const list = usePages<ListPartialsResponse, Partial>("/v1/partials", { page_size: 50 }, (page) => page.partials);
  const naming = useSignal(false);
  const begin = async (form: HTMLFormElement) => {
    navigate(`/partials/${encodeURIComponent(String(new FormData(form).get("name") ?? "").trim())}`);
  };
  return (
    <>
      <Link to="/templates" class="back">
        ← {words.templates.back}
      </Link>
      <header class="head">
        <div>
          <h1>{say.title}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        {may("templates:write") && (
          <button type="button" class="primary" onClick={() => (naming.value = true)}>
            {say.make}
          </button>
        )}
      </header>
      <Listed list={list} title={say.none} hint={say.noneHint} awaited={3}>
        {(rows) => (
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{say.name}</th>
                <th scope="col">{say.begins}</th>
                <th scope="col" class="number">
                  {say.revision}
                </th>
                <th scope="col">{words.templates.changed}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <td class="main">
                    <Link to={`/partials/${row.name}`} data-row>
                      {row.name}
                    </Link>
                  </td>
                  <td class="words">
                    <code>{beginning(row.source ?? "")}</code>
                  </td>
                  <td class="number">{row.revision}</td>
                  <td>
                    <Time iso={row.update_time} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Listed>
      {naming.value && (
        <Dialog title={say.make} action={say.write} onDo={begin} onClose={() => (naming.value = false)}>
          <label>
            {say.nameLong}
            <input name="name" required maxLength={64} pattern="[a-z0-9][a-z0-9_.\-]*" placeholder="footer.html" title={say.nameRule} autoComplete="off" spellcheck={false} />
          </label>
        </Dialog>
      )}
    </>
  );
}

function beginning(source: string): string {
  const line = source.trim().split("\n", 1)[0] ?? "";
  return line.length > 60 ? `${line.slice(0, 60)} …` : line;
}
