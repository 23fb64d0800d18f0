// Says of each test, on a line of JSON, what became of it.
import { basename } from "node:path";
import { inspect } from "node:util";

export default async function* (source) {
  for await (const { type, data } of source) {
    if ((type === "test:pass" || type === "test:fail") && data.details.type !== "suite") {
      const error = type === "test:fail" ? inspect(data.details.error?.cause ?? data.details.error ?? "failed", { depth: 6 }) : "";
      yield JSON.stringify({ file: basename(data.file ?? data.name).replace(/\.test\.js$/, ""), name: data.name, error }) + "\n";
    }
  }
}
