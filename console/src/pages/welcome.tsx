// Where someone who has just started Clarion arrives: the notification that `make run` has sent, its mail, and what to try next.
import type { ComponentChildren } from "preact";
import type { ListNotificationsResponse, Notification, SentContent } from "../api-types";
import { Empty, Failure, Skeleton, Status } from "../parts/basics";
import { useRead } from "../parts/reading";
import { Text } from "../parts/sent-content";
import { Timeline } from "../parts/timeline";
import { Link } from "../router";
import { may } from "../session";
import { sentence } from "../story";
import { words } from "../words";

const say = words.welcome;
const SAMPLE = "sample=welcome"; // its label (devstack/samples.py)

export function Welcome() {
  const found = useRead<ListNotificationsResponse>("/v1/notifications", { metadata: SAMPLE, page_size: 1 });
  const id = found.value?.notifications?.[0]?.id;
  if (found.error) return <Failure alone error={found.error} retry={found.again} />;
  if (found.value === null) return <Skeleton />;
  if (id === undefined) {
    return (
      <Empty alone title={say.none} hint={say.noneHint}>
        <Link to="/overview">{words.overview.title}</Link>
      </Empty>
    );
  }
  return (
    <article>
      <header>
        <h1>{say.title}</h1>
        <p class="sentence">{say.lead}</p>
      </header>
      <Sample id={id} />
      <Next />
    </article>
  );
}

function Sample({ id }: { id: string }) {
  const read = useRead<Notification>(`/v1/notifications/${id}`);
  if (read.error) return <Failure error={read.error} retry={read.again} />;
  if (read.value === null) return <Skeleton rows={4} />;
  return (
    <>
      <section aria-labelledby="sample">
        <div class="head">
          <h2 id="sample">
            {say.sample} <Status status={read.value.status} />
          </h2>
          {read.value.status !== "sent" && (
            <button type="button" onClick={read.again}>
              {words.list.refresh}
            </button>
          )}
        </div>
        <p>
          {sentence(read.value)} <Link to={`/notifications/${id}`}>{words.review.story}</Link>
        </p>
      </section>
      <Timeline of={read.value} />
      {read.value.status === "sent" && may("notifications:content") && <Mail id={id} />}
    </>
  );
}

function Mail({ id }: { id: string }) {
  const read = useRead<SentContent>(`/v1/notifications/${id}/content`);
  return (
    <section aria-labelledby="mail">
      <h2 id="mail">{say.mail}</h2>
      {read.error ? <p class="problem">{read.error.message}</p> : read.value === null ? <Skeleton rows={3} /> : <Text of={read.value} />}
    </section>
  );
}

function Next() {
  return (
    <section aria-labelledby="next">
      <h2 id="next">{say.next}</h2>
      <ul class="cards">
        <Card title={<Link to="/templates/welcome">{say.send}</Link>} text={say.sendText} />
        <Card title={<Link to="/live">{say.watch}</Link>} text={say.watchText} />
        <Card title={<Link to="/templates/welcome/edit">{say.write}</Link>} text={say.writeText} />
        <Card title={<Link to="/operate">{say.key}</Link>} text={say.keyText} />
        <Card title={<Link to="/inbox">{say.inbox}</Link>} text={say.inboxText} />
        <Card title={<a href="/docs">{say.docs}</a>} text={say.docsText} />
      </ul>
    </section>
  );
}

function Card({ title, text }: { title: ComponentChildren; text: string }) {
  return (
    <li>
      <h3>{title}</h3>
      <p class="quiet">{text}</p>
    </li>
  );
}
