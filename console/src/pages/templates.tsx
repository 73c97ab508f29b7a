import type { ListTemplatesResponse, Template } from "../api-types";
import { Time } from "../parts/basics";
import { Listed } from "../parts/listed";
import { usePages } from "../parts/reading";
import { Link, query, setQuery } from "../router";
import { channelWord, words } from "../words";

const say = words.templates;

export function Templates() {
  const showsArchived = query.value.has("archived");
  const list = usePages<ListTemplatesResponse, Template>("/v1/templates", { page_size: 100, ...(showsArchived ? { show_archived: "true" } : {}) }, (page) => page.templates);
  return (
    <>
      <header class="head">
        <div>
          <h1>{words.templatesTitle}</h1>
          <p class="quiet">{say.lead}</p>
        </div>
        <Link to="/partials" class="button">
          {words.partials.title}
        </Link>
        <label class="tick">
          <input type="checkbox" checked={showsArchived} onChange={(event) => setQuery({ archived: event.currentTarget.checked ? "yes" : "" })} />
          {say.showArchived}
        </label>
        <button type="button" onClick={list.again}>
          {words.list.refresh}
        </button>
      </header>
      <Listed list={list} title={say.empty} hint={say.emptyHint}>
        {(rows) => (
          <table class="rows">
            <thead>
              <tr>
                <th scope="col">{words.list.template}</th>
                <th scope="col">{words.list.channel}</th>
                <th scope="col">{say.category}</th>
                <th scope="col">{say.description}</th>
                <th scope="col">{say.published}</th>
                <th scope="col">{say.changed}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <td class="main">
                    <Link to={`/templates/${row.name}`} data-row>
                      {row.name}
                    </Link>
                  </td>
                  <td>{row.channel && channelWord[row.channel]}</td>
                  <td>{row.category || <span class="quiet">–</span>}</td>
                  <td class="words">{row.description || <span class="quiet">–</span>}</td>
                  <td>
                    {row.archive_time && <span class="status paused">{say.archived}</span>} {say.state(row.published_version ?? 0, row.latest_version ?? 0)}
                  </td>
                  <td>
                    <Time iso={row.update_time} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Listed>
    </>
  );
}
