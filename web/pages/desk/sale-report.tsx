import { saleReport } from "lastunit";
import type { Sale } from "lastunit";
import { useRef } from "preact/hooks";
import { useAction } from "./reading";
import { client } from "./session";
import { Button, Problem } from "./ui";

/** Shows the sale's report in a tab of its own, from where it can be saved and printed; where no tab may be opened it is saved at once. */
export function SaleReport({ sale }: { sale: Sale }) {
  const tab = useRef<Window | null>(null);
  const read = useAction(async () => {
    const answer = await saleReport(client.value, sale.id, { format: "html" }, { timeoutMs: 60_000, attemptTimeoutMs: 60_000 });
    const address = URL.createObjectURL(await answer.blob());
    if (tab.current && !tab.current.closed) {
      tab.current.location.href = address; // it stays as long as this tab, so that the report can be loaded anew
      return `The report on ${sale.name} is in a tab of its own.`;
    }
    const link = document.createElement("a");
    link.href = address;
    link.download = `report-${sale.name.replaceAll(/[^\p{L}\p{N}.]+/gu, "-")}.html`;
    link.click();
    return `The report on ${sale.name} was saved as ${link.download}.`;
  });
  // The tab is opened while the button is pressed: later a browser would not let it be.
  const show = async () => {
    tab.current = open("", "_blank");
    if (!(await read.run())) {
      tab.current?.close();
    }
  };
  return (
    <>
      <Button busy={read.busy} onClick={() => void show()}>Report</Button>
      <Problem error={read.error} />
    </>
  );
}
