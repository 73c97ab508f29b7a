// The timeline twice: a bar to scale for the eye, and an ordered list that says the same, for everyone.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Notification } from "../api-types";
import { steps } from "../story";
import { between, duration, now } from "../times";
import { factWord, statusWord, waitWord, words } from "../words";
import { Status, Time } from "./basics";

export function Timeline({ of }: { of: Notification }) {
  const time = useSignal(now());
  const all = steps(of, time.value);
  const open = all.at(-1)?.open ?? false;
  useEffect(() => {
    if (!open) return;
    const timer = setInterval(() => (time.value = now()), 1_000);
    return () => clearInterval(timer);
  }, [open]);
  const total = all.reduce((sum, step) => sum + step.lasted, 0);
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">
        {words.one.timeline}{" "}
        <span class="quiet">
          {duration(total)} {words.one.total}
        </span>
      </h2>
      <div class="track" aria-hidden="true">
        {all.map((step, index) => step.lasted > 0 && <div key={index} class={`bar ${step.status}`} title={`${statusWord[step.status]}: ${duration(step.lasted)}`} style={{ flexGrow: step.lasted }} />)}
      </div>
      <ol class="timeline">
        {all.map((step, index) => (
          <li key={index} class={step.open ? `${step.status} open` : step.status}>
            <Time iso={step.entry.time} after={index ? all[0]?.entry.time : undefined} />
            <div>
              {step.entry.fact ? <strong>{factWord[step.entry.fact]}</strong> : <Status status={step.status} />} {step.entry.reason && <code>{step.entry.reason}</code>}
              {step.entry.detail && <p class="words">{step.entry.detail}</p>}
              {step.lasted > 0 && waitWord[step.status] && (
                <p class="quiet">
                  {duration(step.lasted)} {waitWord[step.status]}
                  {step.entry.next_attempt_time && `, planned ${duration(between(step.entry.time ?? "", step.entry.next_attempt_time))}`}
                </p>
              )}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
