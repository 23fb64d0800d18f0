// A real service on a database of its own, made by web/world_test.go.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createClient, newKey, putProduct, receive } from "lastunit";

const worlds = process.env.LASTUNIT_TEST_WORLDS;

async function ask(path, form = {}) {
  const answer = await fetch(worlds + path, { method: "POST", body: new URLSearchParams(form) });
  if (!answer.ok) {
    throw new Error(`${path}: ${await answer.text()}`);
  }
  return answer.json();
}

export async function newWorld(options = {}) {
  const { id, url, key, secret } = await ask("/worlds", options);
  const change = (what, form) => ask(`/worlds/${id}/${what}`, form);
  const operator = createClient({ baseUrl: url, token: key });
  const token = (sub, seconds = 3600) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + seconds })}`;
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  };
  return {
    url,
    key,
    operator,
    token,
    /** A client of a buyer, of whom no other test knows. */
    buyer: (options = {}) => createClient({ baseUrl: url, token: token(newKey()), ...options }),
    stop: () => change("stop"),
    start: () => change("start"),
    count: (sql) => change("count", { sql }),
    /** Plays the 12.12 event with so many buyers, and fails when it was not true. */
    rehearse: (buyers) => change("rehearse", { buyers, key }),
    /** A key with these scopes and no others. */
    keyWith: (...scopes) => change("key", { scopes: scopes.join(" ") }),
    /** Keeps requests for a product queued, until let. */
    hold: (sku) => change("hold", { sku }),
    let: (sku) => change("go", { sku }),
    async stocked(sku, quantity) {
      await putProduct(operator, sku, { name: sku, price: { amount: 1250, currency: "EUR" } });
      await receive(operator, sku, { quantity, reference: "test" });
    },
  };
}

export const soon = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until it is so: as long as a busy machine may take. */
export async function until(so) {
  for (const began = performance.now(); !so(); await soon(25)) {
    assert.ok(performance.now() - began < 60_000, `it never came to ${so}`);
  }
}

/** Collects garbage, after which fetch in Node.js 20 may have forgotten about its signal. */
export function collectGarbage() {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
