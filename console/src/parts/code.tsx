// An editor of Jinja2 in HTML, MJML or plain text. It comes with the pages that need it, never with the first load.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { jinja } from "@codemirror/lang-jinja";
import { HighlightStyle, LanguageSupport, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "preact/hooks";
import type { Mark } from "../draft";
import { words } from "../words";

const PLAIN = new LanguageSupport(StreamLanguage.define({ token: (stream) => (stream.skipToEnd(), null) }));

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.logicOperator, tags.brace], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.variableName, tags.propertyName, tags.function(tags.variableName)], color: "var(--accent)" },
  { tag: [tags.tagName, tags.angleBracket], color: "var(--good)" },
  { tag: [tags.attributeName, tags.number, tags.bool], color: "var(--wait)" },
  { tag: [tags.string, tags.attributeValue], color: "var(--bad)" },
  { tag: [tags.comment, tags.meta], color: "var(--quiet)", fontStyle: "italic" },
]);

const LOOK = EditorView.theme({
  "&": { fontSize: "13px", background: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "var(--radius)", overflow: "hidden" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", lineHeight: "1.55", maxHeight: "60vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-gutters": { background: "var(--sunken)", color: "var(--quiet)", border: "0" },
  // in the place of the library's pictures, which are data addresses, and no picture of those is let in
  ".cm-lint-marker-error, .cm-lint-marker-warning": { content: "none", height: "8px", width: "8px", borderRadius: "50%", margin: "6px 3px" },
  ".cm-lint-marker-error": { background: "var(--bad)" },
  ".cm-lint-marker-warning": { background: "var(--wait)" },
  ".cm-lintRange-error, .cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { textDecorationColor: "var(--wait)" },
  ".cm-lintPoint::after": { display: "none" },
  ".cm-tooltip": { background: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)" },
});

// Typing over a selection: Chromium would keep its colours as an inline style, which the policy refuses, and the browser's log would fill with that.
// It alone has getSelection at a shadow root; the selection that the editor knows of may be one event older.
const REPLACING = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const selected = (view.root as { getSelection?: () => Selection | null }).getSelection?.();
    if (event.inputType !== "insertText" || event.data === null || view.composing || !selected?.anchorNode || !selected.focusNode || selected.isCollapsed) return false;
    const ends = [view.posAtDOM(selected.anchorNode, selected.anchorOffset), view.posAtDOM(selected.focusNode, selected.focusOffset)];
    const [from, insert] = [Math.min(...ends), view.state.toText(event.data)];
    view.dispatch({ changes: { from, to: Math.max(...ends), insert }, selection: { anchor: from + insert.length }, userEvent: "input.type", scrollIntoView: true });
    event.preventDefault();
    return true;
  },
});

interface CodeProps {
  readonly label: string;
  readonly text: string; // at first: what is written later is the editor's
  readonly markup: boolean;
  readonly marks: readonly Mark[];
  readonly onText: (text: string) => void;
}

export function Code({ label, text, markup, marks, onText }: CodeProps) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | null>(null);
  const written = useRef(onText);
  written.current = onText;
  useEffect(() => {
    if (host.current === null) return;
    // in a shadow root its styles are sheets of a script's own, which a policy without inline styles lets in
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          lintGutter(),
          history(),
          keymap.of([...defaultKeymap, ...historyKeymap]),
          EditorView.lineWrapping,
          jinja(markup ? {} : { base: PLAIN }),
          syntaxHighlighting(COLOURS),
          LOOK,
          EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
          REPLACING,
          EditorView.updateListener.of((update) => {
            if (update.docChanged) written.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    editor.current = view;
    return () => view.destroy();
  }, []);
  useEffect(() => {
    const view = editor.current;
    if (view === null) return;
    const doc = view.state.doc;
    const found = marks.map(({ line, text: message, wrong }) => {
      const { from, to } = doc.line(Math.min(Math.max(1, line), doc.lines));
      return { from, to, message, severity: wrong ? ("error" as const) : ("warning" as const) };
    });
    view.dispatch(setDiagnostics(view.state, found));
  }, [marks]);
  const show = (line: number) => {
    const view = editor.current;
    if (view === null) return;
    const { from } = view.state.doc.line(Math.min(line, view.state.doc.lines));
    view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    view.focus();
  };
  return (
    <div class="part">
      <h3>{label}</h3>
      <div class="code" ref={host} />
      <ul class="marks" aria-label={words.editor.marks(label)}>
        {marks.map((one, place) => (
          <li key={place} class={one.wrong ? "problem" : ""}>
            {one.line > 0 && (
              <button type="button" class="plain" onClick={() => show(one.line)}>
                {words.editor.line(one.line)}
              </button>
            )}{" "}
            {one.text}
          </li>
        ))}
      </ul>
    </div>
  );
}
