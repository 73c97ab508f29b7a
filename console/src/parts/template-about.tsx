// What a template is beside its texts, and changing it.
import { useSignal } from "@preact/signals";
import { patch } from "../api";
import type { Template } from "../api-types";
import { may } from "../session";
import { words } from "../words";
import { Dialog } from "./basics";

const say = words.templates;
const FIELDS = "category,description,mandatory,on_unknown";

export function About({ of, path, onDone }: { of: Template; path: string; onDone: () => void }) {
  const editing = useSignal(false);
  return (
    <section class="about" aria-labelledby="about">
      <h2 id="about">{say.about}</h2>
      <p>
        {of.category ? (
          <>
            {say.category} <code>{of.category}</code>
          </>
        ) : (
          say.noCategory
        )}
        . {of.mandatory ? say.isMandatory : say.isOptional} {of.on_unknown === "hold" ? say.isHeld : say.isResent}
      </p>
      {!of.archive_time && may("templates:write") && (
        <button type="button" onClick={() => (editing.value = true)}>
          {say.change}
        </button>
      )}
      {editing.value && <Edit of={of} path={path} onDone={onDone} onClose={() => (editing.value = false)} />}
    </section>
  );
}

function Edit({ of, path, onDone, onClose }: { of: Template; path: string; onDone: () => void; onClose: () => void }) {
  const save = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const [category, description, on_unknown] = ["category", "description", "on_unknown"].map((field) => String(given.get(field) ?? "").trim());
    await patch(`${path}?update_mask=${FIELDS}`, { category, description, on_unknown, mandatory: given.has("mandatory") }, of.etag);
    onDone();
  };
  return (
    <Dialog title={say.changeAsk(of.name ?? "")} action={say.save} onDo={save} onClose={onClose}>
      <p>{say.changeText}</p>
      <label>
        {say.categoryLong}
        <input name="category" maxLength={64} autoComplete="off" spellcheck={false} defaultValue={of.category ?? ""} />
      </label>
      <label>
        {say.descriptionLong}
        <input name="description" maxLength={1000} autoComplete="off" defaultValue={of.description ?? ""} />
      </label>
      <label>
        {say.onUnknown}
        <select name="on_unknown" defaultValue={of.on_unknown ?? "resend"}>
          <option value="resend">{say.onUnknowns.resend}</option>
          <option value="hold">{say.onUnknowns.hold}</option>
        </select>
      </label>
      <label class="tick">
        <input type="checkbox" name="mandatory" defaultChecked={of.mandatory ?? false} />
        {say.mandatory}
      </label>
    </Dialog>
  );
}
