// What may stand between a client and a service: an HTTP proxy that does to requests what it was told.
import { createServer, request } from "node:http";

/**
 * faults are taken in turn, by those requests that fit (`on`, the beginning of "METHOD /path"; none: any). What they do:
 *   refuse    hangs up without asking the service
 *   lose      asks the service, and hangs up without a word of the answer
 *   cut       hangs up in the middle of the answer
 *   silence   sends the head of the answer and nothing more; never hangs up
 *   hang      never answers
 *   { status, headers, body }  answers instead of the service
 */
export async function between(t, url, ...faults) {
  const target = new URL(url);
  const seen = [];
  const open = new Set();
  const server = createServer((from, to) => {
    const line = `${from.method} ${from.url}`;
    seen.push({ line, headers: from.headers });
    const i = faults.findIndex((f) => line.startsWith(f.on ?? ""));
    const fault = i < 0 ? {} : faults[i].always ? faults[i] : faults.splice(i, 1)[0];
    if (fault.do === "refuse") {
      return from.socket.destroy();
    }
    if (fault.do === "hang") {
      return;
    }
    if (fault.status) {
      to.writeHead(fault.status, fault.headers);
      return to.end(fault.body);
    }
    const up = request({ host: target.hostname, port: target.port, method: from.method, path: from.url, headers: from.headers }, (answer) => {
      if (fault.do === "silence") {
        to.writeHead(answer.statusCode, answer.headers);
        return to.flushHeaders();
      }
      if (fault.do === "lose" || fault.do === "cut") {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          const body = Buffer.concat(chunks);
          if (fault.do === "lose") {
            return from.socket.destroy();
          }
          const { "transfer-encoding": _, ...headers } = answer.headers;
          to.writeHead(answer.statusCode, { ...headers, "content-length": body.length });
          to.write(body.subarray(0, body.length / 2), () => from.socket.destroy());
        });
        return;
      }
      to.writeHead(answer.statusCode, answer.headers);
      to.flushHeaders();
      answer.on("error", () => from.socket.destroy()).pipe(to);
    });
    up.on("error", () => from.socket.destroy());
    to.on("close", () => up.destroy());
    from.pipe(up);
  });
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const hangUp = () => open.forEach((socket) => socket.destroy());
  t.after(() => {
    server.close();
    hangUp();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What was asked for, in order. */
    seen,
    asked: (on) => seen.filter((s) => s.line.startsWith(on)),
    faults,
    hangUp,
    connections: () => open.size,
  };
}
