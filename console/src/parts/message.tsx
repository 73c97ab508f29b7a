// A message as its reader sees it, and what it is made of.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Content } from "../api-types";
import { words } from "../words";

const say = words.message;
type View = keyof typeof say.views;

export function Message({ of }: { of: Content }) {
  const chosen = useSignal<View>("looks");
  const dark = useSignal(false);
  const isMail = Boolean(of.subject || of.html || of.text);
  const views: readonly View[] = isMail ? (of.html ? ["looks", "phone", "text", "source"] : ["text", "source"]) : ["looks", "source"];
  const view = views.includes(chosen.value) ? chosen.value : (views[0] ?? "source");
  return (
    <div class="message">
      <div class="switch" role="group" aria-label={say.view}>
        {views.map((one) => (
          <button key={one} type="button" aria-pressed={one === view} onClick={() => (chosen.value = one)}>
            {say.views[one]}
          </button>
        ))}
        {isMail && of.html && (
          <button type="button" aria-pressed={dark.value} onClick={() => (dark.value = !dark.value)}>
            {say.dark}
          </button>
        )}
      </div>
      {isMail && <h2 class="subject">{of.subject}</h2>}
      {view === "source" ? (
        <pre tabIndex={0}>{of.html || of.text || JSON.stringify(of, null, 2)}</pre>
      ) : view === "text" ? (
        <pre tabIndex={0}>{of.text}</pre>
      ) : isMail ? (
        <Mail html={of.html ?? ""} narrow={view === "phone"} dark={dark.value} />
      ) : (
        <Push of={of} />
      )}
    </div>
  );
}

// The frame's own policy lets styles in and nothing else: no script, no form, no picture from anywhere (gateway/console/pages.py).
function Mail({ html, narrow, dark }: { html: string; narrow: boolean; dark: boolean }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const loaded = useRef(false);
  const show = () => {
    const inside = frame.current?.contentDocument;
    if (!frame.current || !inside || !loaded.current) return;
    inside.documentElement.innerHTML = html;
    light(inside, dark);
    frame.current.style.height = `${Math.min(900, Math.max(160, inside.documentElement.scrollHeight + 4))}px`;
  };
  useEffect(show, [html, narrow, dark]);
  return (
    <iframe
      ref={frame}
      class={narrow ? "mail narrow" : "mail"}
      title={say.frame}
      src="/console/frame.html"
      sandbox="allow-same-origin"
      onLoad={() => {
        loaded.current = true;
        // a link leads nowhere here: the policy would refuse it, and the message would be gone
        frame.current?.contentDocument?.addEventListener("click", (event) => event.preventDefault());
        show();
      }}
    />
  );
}

// Shows a mail as on a light or a dark screen, whatever this one is. As in mail clients, one that says nothing for dark screens stays as it is.
function light(inside: Document, dark: boolean): void {
  const decide = (media: MediaList) => {
    media.mediaText = media.mediaText.replace(/\(\s*prefers-color-scheme\s*:\s*(\w+)\s*\)/g, (_, scheme) => ((scheme === "dark") === dark ? "(min-width: 0px)" : "(max-width: 0px)"));
  };
  const walk = (rules: CSSRuleList) => {
    for (const rule of rules) {
      if ("media" in rule) decide(rule.media as MediaList);
      if ("cssRules" in rule) walk(rule.cssRules as CSSRuleList);
    }
  };
  for (const sheet of inside.styleSheets) {
    decide(sheet.media);
    walk(sheet.cssRules);
  }
  const root = inside.documentElement;
  const said = inside.querySelector<HTMLMetaElement>('meta[name="color-scheme"]')?.content ?? inside.defaultView?.getComputedStyle(root).colorScheme ?? "";
  root.style.colorScheme = dark && said.includes("dark") ? "dark" : "light";
}

function Push({ of }: { of: Content }) {
  const data = Object.entries(of.data ?? {});
  return (
    <div class="phone">
      <div class="bubble">
        <strong>{of.title}</strong>
        <p>{of.body}</p>
        {of.image && <p class="quiet">{say.picture(of.image)}</p>}
      </div>
      {data.length > 0 && (
        <dl class="facts">
          {data.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
