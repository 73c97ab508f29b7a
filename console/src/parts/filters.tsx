// The filters that the list and the feed share. What is chosen is in the address.
import { useEffect, useRef } from "preact/hooks";
import { query, setQuery } from "../router";
import { STATUSES, channelWord, statusWord, words } from "../words";

export const FILTERS = ["status", "channel", "template", "user_id"] as const;

export function Filters() {
  const chosen = query.value;
  const any = FILTERS.some((name) => chosen.has(name));
  return (
    <form class="filters" role="search" aria-label={words.list.clear.replace(/^\w+ /, "")} onSubmit={(event) => event.preventDefault()}>
      <label>
        {words.list.status}
        <select data-first-filter value={chosen.get("status") ?? ""} onChange={(event) => setQuery({ status: event.currentTarget.value })}>
          <option value="">{words.list.any}</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {statusWord[status]}
            </option>
          ))}
        </select>
      </label>
      <label>
        {words.list.channel}
        <select value={chosen.get("channel") ?? ""} onChange={(event) => setQuery({ channel: event.currentTarget.value })}>
          <option value="">{words.list.any}</option>
          {Object.entries(channelWord).map(([channel, word]) => (
            <option key={channel} value={channel}>
              {word}
            </option>
          ))}
        </select>
      </label>
      <TextFilter name="template" label={words.list.template} hint={words.list.templateHint} />
      <TextFilter name="user_id" label={words.list.person} hint={words.list.personHint} />
      {any && (
        <button type="button" class="plain" onClick={() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>
          {words.list.clear}
        </button>
      )}
    </form>
  );
}

// The address follows the field after a moment, so that not every letter is a question to the gateway.
export function TextFilter({ name, label, hint }: { name: string; label: string; hint: string }) {
  const timer = useRef(0);
  const field = useRef<HTMLInputElement>(null);
  const value = query.value.get(name) ?? "";
  useEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = value;
  }, [value]);
  const apply = () => {
    clearTimeout(timer.current);
    setQuery({ [name]: field.current?.value.trim() ?? "" });
  };
  return (
    <label>
      {label}
      <input
        ref={field}
        type="search"
        placeholder={hint}
        defaultValue={value}
        autoComplete="off"
        spellcheck={false}
        onInput={() => {
          clearTimeout(timer.current);
          timer.current = window.setTimeout(apply, 300);
        }}
        onChange={apply}
      />
    </label>
  );
}
