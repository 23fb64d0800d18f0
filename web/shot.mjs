import { chromium } from "playwright-core";
const [,, base, token, out, ...what] = process.argv;
const b = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox","--disable-dev-shm-usage"] });
for (const w of what) {
  const [path, size="desk", scheme="light", ...rest] = w.split(",");
  const c = await b.newContext({ viewport: size==="phone"?{width:390,height:844}:{width:1280,height:860}, colorScheme: scheme, deviceScaleFactor: 1 });
  const p = await c.newPage();
  p.on("console", m => ["error","warning"].includes(m.type()) && console.log(path, m.text()));
  p.on("pageerror", e => console.log(path, "PAGEERROR", e.message));
  await p.goto(base + path + (token ? "#token="+token : ""));
  await p.waitForTimeout(1500);
  for (const r of rest) { const [k,v]=r.split("="); if (k==="click") await p.getByRole(v.split(":")[0],{name:v.split(":")[1]}).first().click(); await p.waitForTimeout(900); }
  await p.screenshot({ path: `${out}/${(path.replace(/\W+/g,"_")||"_")}-${size}-${scheme}${rest.length?"-"+rest.length:""}.png`, fullPage: size!=="x" });
  await c.close();
}
await b.close();
