// A decision about many dead letters, followed to its end.
import { useEffect } from "preact/hooks";
import { post } from "../api";
import type { DeadLetterJob } from "../api-types";
import { words } from "../words";
import { useRead } from "./reading";

const say = words.job;
const POLL_MS = 400;

export function Job({ id, onEnd }: { id: string; onEnd: () => void }) {
  const read = useRead<DeadLetterJob>(`/v1/dead-letter-jobs/${id}`);
  const job = read.value;
  const running = job === null || job.state === "running";
  useEffect(() => {
    if (job === null) return;
    if (!running) return onEnd();
    const timer = setTimeout(read.again, POLL_MS);
    return () => clearTimeout(timer);
  }, [job]);
  if (read.error) return <p class="problem">{read.error.message}</p>;
  if (job === null) return null;
  const decided = (job.done_count ?? 0) + (job.skipped_count ?? 0);
  return (
    <div class="job">
      <p role="status">{jobWords(job)}</p>
      <progress value={decided} max={Math.max(1, job.total_count ?? 0)} aria-label={say.progress} />
      {running && (
        <button type="button" onClick={() => void post(`/v1/dead-letter-jobs/${id}:cancel`, {}).then(read.again, read.again)}>
          {say.stop}
        </button>
      )}
    </div>
  );
}

export const jobWords = (job: DeadLetterJob) =>
  say.sentence(job.action === "discarded" ? say.discarded : say.requeued, job.done_count ?? 0, job.total_count ?? 0, job.skipped_count ?? 0, say.states[job.state ?? "running"]);
