// The package as npm would publish it, as others use it: compiled strictly, and bundled.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const run = promisify(execFile);
const client = fileURLToPath(new URL("../", import.meta.url));
const tsc = join(client, "../node_modules/typescript/bin/tsc");
const project = mkdtempSync(join(tmpdir(), "lastunit-consumer-"));
after(() => rmSync(project, { recursive: true }));

writeFileSync(join(project, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
const packed = JSON.parse((await run("npm", ["pack", "--json", "--pack-destination", project], { cwd: client })).stdout)[0];
await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", join(project, packed.filename)], { cwd: project });

/** Compiles sources by name as strictly as can be, and returns what the compiler says. */
async function compile(sources, moduleResolution) {
  const dir = join(project, moduleResolution + Object.keys(sources).length);
  mkdirSync(dir);
  for (const [name, text] of Object.entries(sources)) {
    writeFileSync(join(dir, name), text);
  }
  const options = {
    target: "ES2022", lib: ["ES2022", "DOM"], types: [], noEmit: true, moduleResolution, module: moduleResolution === "nodenext" ? "nodenext" : "esnext",
    strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noImplicitReturns: true, noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true, noUnusedLocals: true, noUnusedParameters: true, verbatimModuleSyntax: true, isolatedModules: true, skipLibCheck: false,
  };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.ts"] }));
  return run(process.execPath, [tsc, "-p", dir]).then(() => "", (error) => error.stdout);
}

const consumer = readFileSync(join(client, "test/consumer.ts"), "utf8");
const examples = [...readFileSync(join(client, "README.md"), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map((m) => m[1]);

test("the package holds what it needs and nothing else", () => {
  const files = packed.files.map((f) => f.path);
  assert.ok(["LICENSE", "README.md", "package.json", "dist/index.js", "dist/index.d.ts"].every((f) => files.includes(f)), files.join());
  assert.deepEqual(files.filter((f) => !/^(LICENSE|README\.md|package\.json|dist\/[\w/-]+\.(js|d\.ts))$/.test(f)), []);
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
});

for (const moduleResolution of ["bundler", "nodenext"]) {
  test(`a strict project uses it, and the README's examples compile: ${moduleResolution}`, async () => {
    assert.ok(examples.length >= 8);
    const sources = Object.fromEntries(examples.map((text, i) => [`example-${i + 1}.ts`, text]));
    assert.equal(await compile({ ...sources, "consumer.ts": consumer }, moduleResolution), "");
  });
}

test("what is wrong does not compile", async () => {
  const wrong = [
    `claim(shop, { quantity: 1 });`,
    `claim(shop, { sku: "mug", quantity: "2" });`,
    `getTransaction(shop);`,
    `claim(shop, { sku: "mug" }, { wait: 10 });`,
    `refund(shop, "1", { restock: "bin" });`,
    `const o = await outcome(checkout(shop)); if (!o.ok && o.problem.code === "sold-out") {}`,
    `const e: unknown = 1; if (isProblem(e, "all-hold")) {}`,
    `const e: unknown = 1; if (isProblem(e, "sold-out")) { e.available; }`,
    `listOrders(shop, { state: "unpaid" });`,
    `watchProduct(shop, "mug", (p) => p.stock);`,
  ];
  const text = `import { checkout, claim, createClient, getTransaction, isProblem, listOrders, outcome, refund, watchProduct } from "lastunit";\n` +
    `export const all = [checkout, claim, getTransaction, isProblem, listOrders, outcome, refund, watchProduct];\nconst shop = createClient();\n`;
  const said = await compile({ "wrong.ts": text + wrong.map((line) => `{ ${line} }`).join("\n") }, "bundler");
  const lines = new Set([...said.matchAll(/wrong\.ts\((\d+),/g)].map((m) => Number(m[1])));
  assert.deepEqual(wrong.filter((_, i) => !lines.has(i + 4)), []);
});

/** What a page that imports these names carries, minified. */
async function bundle(...names) {
  const entry = join(project, `page-${names.length}.js`);
  writeFileSync(entry, `import { ${names.join(", ")} } from "lastunit";\nglobalThis.page = [${names.join(", ")}];\n`);
  const made = await build({
    root: project, configFile: false, logLevel: "silent",
    build: { write: false, target: "es2022", modulePreload: false, rollupOptions: { input: entry } },
  });
  return [made].flat().flatMap((m) => m.output).map((o) => o.code ?? "").join("");
}

const sizes = (code) => `${code.length} bytes, ${gzipSync(code).length} gzipped`;

test("a page carries only what it uses", async (t) => {
  const code = await bundle("createClient", "claim");
  t.diagnostic(sizes(code));
  assert.ok(code.includes("/order/addToCart"));
  assert.deepEqual(["/api/v1", "/livez", "event-stream", "visibilitychange"].filter((text) => code.includes(text)), []);
  assert.ok(gzipSync(code).length < 2600, sizes(code));
});

test("a whole shop page is small, without what operators do", async (t) => {
  const code = await bundle(
    "createClient", "claim", "claimQueued", "release", "getCart", "checkout", "pay", "cancel", "getOrder", "listOrders", "listProducts", "getProduct", "listSales",
    "outcome", "isProblem", "newKey", "remaining", "watchTransaction", "watchProduct",
  );
  t.diagnostic(sizes(code));
  assert.deepEqual(["/withdrawals", "/receipts", "/audit", "/refund", "/units/", "/orders/confirm", "/selling/"].filter((text) => code.includes(text)), []);
  assert.ok(gzipSync(code).length < 5000, sizes(code));
});
