import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import "./style.css";
import { signOut } from "./api";
import { helpOpen, listen } from "./keyboard";
import { labelCells } from "./labels";
import { ACCOUNT_PAGES } from "./pages/account";
import { Audit } from "./pages/audit";
import { DeadLetters } from "./pages/dead-letters";
import { Feed } from "./pages/feed";
import { Inbox } from "./pages/inbox";
import { List } from "./pages/list";
import { One } from "./pages/notification";
import { Operate } from "./pages/operate";
import { Overview } from "./pages/overview";
import { Partials } from "./pages/partials";
import { People } from "./pages/people";
import { Person } from "./pages/person";
import { Projects } from "./pages/projects";
import { Roles } from "./pages/roles";
import { OwnSecondFactor } from "./pages/second-factor";
import { SignIn } from "./pages/sign-in";
import { OneTemplate } from "./pages/template";
import { Templates } from "./pages/templates";
import { Webhook } from "./pages/webhook";
import { Welcome } from "./pages/welcome";
import { Empty } from "./parts/basics";
import { later } from "./parts/later";
import { COME_BACK, Link, SECOND_FACTOR, decoded, leave, navigate, path } from "./router";
import { claims, inFirstProject, may, session, testMode } from "./session";
import { nextTheme, theme } from "./theme";
import { words } from "./words";

// Where to, how it is called, and the scope without which it is not offered.
const NAVIGATION = [
  ["/overview", words.overview.title, "notifications:read"],
  ["/notifications", words.notifications, "notifications:read"],
  ["/live", words.live, "notifications:read"],
  ["/dead-letters", words.deadLetters, "deadletters:review"],
  ["/people", words.peopleTitle, "users:read"],
  ["/templates", words.templatesTitle, "templates:read"],
  ["/operate", words.operateTitle, "operations:write"],
  ["/roles", words.roles.title, "roles:read"],
  ["/projects", words.projects.title, "projects:admin"],
  ["/audit", words.audit.title, "audit:read"],
  ["/inbox", words.inboxTitle, "notifications:read"],
] as const;

// Pages that are reached from others.
const TITLES = { partials: words.partials.title, welcome: words.welcome.title };

// The editor alone is more than everything else.
const TemplateEditor = later(async () => (await import("./pages/template-editor")).TemplateEditor);

const PartialEditor = later(async () => (await import("./pages/partial-editor")).PartialEditor);

function App() {
  const Account = ACCOUNT_PAGES[path.value.split("/")[1] as keyof typeof ACCOUNT_PAGES];
  if (Account !== undefined) return <Account />;
  if (session.value === null) return <SignIn />;
  const project = claims.value.project;
  return (
    <div class="shell">
      <a class="skip" href="#content">
        {words.skip}
      </a>
      <aside>
        <Link to="/notifications" class="brand">
          <span class="mark" aria-hidden="true" />
          {words.product}
        </Link>
        <nav aria-label={words.product}>
          {NAVIGATION.filter(([to, , scope]) => may(scope) && (to !== "/projects" || inFirstProject())).map(([to, label]) => (
            <Link key={to} to={to} aria-current={path.value.startsWith(to) || (to === "/templates" && path.value.startsWith("/partials")) ? "page" : undefined}>
              {label}
            </Link>
          ))}
        </nav>
        <div class="account">
          {project && <span class="project">{words.project(project)}</span>}
          {claims.value.user && <Link to={SECOND_FACTOR}>{words.secondFactor.title}</Link>}
          <button type="button" class="plain" onClick={() => (helpOpen.value = true)}>
            {words.keys.open}
          </button>
          <button type="button" class="plain" onClick={nextTheme}>
            {words.theme[theme.value]}
          </button>
          <button type="button" class="plain" onClick={() => leave(() => void signOut())}>
            {words.signOut}
          </button>
        </div>
      </aside>
      <div class="page">
        {testMode.value && (
          <p class="test-mode" role="note">
            {words.testMode}
          </p>
        )}
        <main id="content" tabIndex={-1}>
          <Page />
        </main>
      </div>
      {helpOpen.value && <Help />}
    </div>
  );
}

function Page() {
  const [, noun, id, further] = path.value.split("/");
  useEffect(() => {
    if (path.value === "/" || path.value === COME_BACK) navigate("/notifications", { replace: true });
    const name = `/${noun}` === SECOND_FACTOR ? words.secondFactor.title : NAVIGATION.find(([to]) => to === `/${noun}`)?.[1] ?? TITLES[noun as keyof typeof TITLES] ?? words.notifications;
    document.title = `${name} · ${words.product}`;
    // on a phone the pages stand in one row that is wider than the screen
    const here = document.querySelector<HTMLElement>("nav [aria-current]");
    if (here?.parentElement) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft;
  }, [path.value]);
  if (noun === "" || (noun === "notifications" && !id)) return <List />;
  if (noun === "notifications" && id) return <One key={id} id={decoded(id)} />;
  if (noun === "welcome") return <Welcome />;
  if (noun === "overview") return <Overview />;
  if (noun === "live") return <Feed />;
  if (noun === "dead-letters") return <DeadLetters id={id ? decoded(id) : undefined} />;
  if (noun === "operate") return id === "webhooks" && further ? <Webhook key={further} id={decoded(further)} /> : <Operate />;
  if (noun === "people") return id ? <Person key={id} id={decoded(id)} /> : <People />;
  if (noun === "templates" && id && further === "edit") return <TemplateEditor key={id} name={decoded(id)} />;
  if (noun === "partials") return id ? <PartialEditor key={id} name={decoded(id)} /> : <Partials />;
  if (noun === "templates") return id ? <OneTemplate key={id} name={decoded(id)} /> : <Templates />;
  if (`/${noun}` === SECOND_FACTOR) return <OwnSecondFactor />;
  if (noun === "roles") return <Roles />;
  if (noun === "projects") return <Projects />;
  if (noun === "audit") return <Audit />;
  if (noun === "inbox") return <Inbox id={id ? decoded(id) : undefined} />;
  return (
    <Empty alone title={words.nowhere} hint={path.value}>
      <Link to="/notifications">{words.one.back}</Link>
    </Empty>
  );
}

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={() => (helpOpen.value = false)} aria-labelledby="keys-title">
      <h2 id="keys-title">{words.keys.title}</h2>
      <dl class="keys">
        {words.keys.rows.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          {words.keys.close}
        </button>
      </div>
    </dialog>
  );
}

listen();
labelCells();
const root = document.getElementById("app");
if (root) render(<App />, root);
