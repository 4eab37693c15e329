// connect-es in headless Chromium: a page of one origin, the service on another.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

test("Connect and gRPC-Web from a page of another origin", { timeout: 90_000 }, async (t) => {
  const bundle = await build({ entryPoints: [join(here, "page.mjs")], bundle: true, format: "esm", write: false });
  const pages = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8");
    response.end(isScript ? bundle.outputFiles[0].text : '<ul id="results"></ul><script type="module" src="/page.js"></script>');
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags });
  t.after(async () => {
    await browser.close();
    pages.close();
  });
  const page = await browser.newPage();
  const preflights = [];
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.requestWillBeSent", ({ request }) => request.method === "OPTIONS" && preflights.push(request.url));
  await page.goto(`http://localhost:${pages.address().port}/?service=http://${process.env.ECHO_ADDRESS}`);
  await page.waitForFunction(() => window.finished, undefined, { timeout: 60_000 });
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
  const results = await page.evaluate(() => window.finished);
  for (const { name, fault } of results) await t.test(name, () => assert.equal(fault, ""));
  assert.equal(results.length, 38);
  assert.notEqual(preflights.length, 0, "the browser asked before it sent");
});
