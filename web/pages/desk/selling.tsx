// The brake for all selling.
import { getSelling, pauseSelling, resumeSelling } from "lastunit";
import { useAction, useReading } from "./reading";
import { client } from "./session";
import { Button, Needs, Panel, Problem, Read, Time } from "./ui";

export function Brake() {
  const selling = useReading((signal) => getSelling(client.value, { signal, retry: false }), [client.value], 3000);
  const pause = useAction(async (key) => {
    await pauseSelling(client.value, { key });
    await selling.reload();
    return "All selling is paused, on every server. Queued requests keep their place; carts, orders and payments go on.";
  });
  const resume = useAction(async (key) => {
    await resumeSelling(client.value, { key });
    await selling.reload();
    return "Selling goes on. Sales that are paused themselves stay paused.";
  });
  return (
    <Panel title="All selling" class="brake">
      <Read from={selling} what="whether anything is sold">
        {({ paused, paused_at }) => (
          <>
            <p class={`verdict ${paused ? "paused" : "good"}`} role="status">
              {paused ? <><strong>Paused</strong> since <Time at={paused_at ?? Date.now()} />. Nothing is claimed, of any product.</> : <><strong>Selling.</strong> Whatever is on sale can be claimed.</>}
            </p>
            <Needs scope="sale" what="The brake">
              <div class="actions">
                {paused
                  ? <Button tone="main" busy={resume.busy} onClick={() => void resume.run()}>Resume all selling</Button>
                  : <Button tone="danger" busy={pause.busy} onClick={() => void pause.run()}>Pause all selling</Button>}
              </div>
            </Needs>
          </>
        )}
      </Read>
      <Problem error={pause.error ?? resume.error} />
    </Panel>
  );
}
