// Drives the page in headless Chromium and prints what it found as one JSON object.
// node drive.mjs CONFIG.json, which test_page.py writes; scenarios run by name.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { chromium } = createRequire(`${config.web}/`)("playwright-core");
const axe = readFileSync(join(config.web, "node_modules/axe-core/axe.min.js"), "utf8");

const QUIET = [
  ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];
const FAKE_CAMERA = [
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-video-capture=${config.video}`,
];
const PHONE = { width: 360, height: 740 };
const PATIENCE = 90_000; // milliseconds for one scenario
const DESK = { width: 1200, height: 900 };

/** `serve` of the run, when it has said where. */
function served() {
  const [command, ...given] = config.serve;
  const child = spawn(command, given, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
  const end = () => (child.kill("SIGINT"), exited);
  let printed = "";
  return new Promise((resolve, refuse) => {
    exited.then((code) => refuse(new Error(`it ended with ${code}: ${printed}`)));
    child.stdout.on("data", (chunk) => {
      printed += chunk;
      const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(printed) ?? [];
      if (url) resolve({ url, printed, end });
    });
  });
}

const browsers = [];

/** A page of its own with what it said and asked for. */
async function opened(url, { args = [], init, context = {}, granted = [] } = {}) {
  const executablePath = config.chromium;
  const browser = await chromium.launch({ executablePath, args: [...QUIET, ...args] });
  browsers.push(browser);
  const room = await browser.newContext({ viewport: PHONE, ...context });
  if (granted.length) await room.grantPermissions(granted, { origin: new URL(url).origin });
  const page = await room.newPage();
  const seen = { errors: [], requests: [], bytes: 0 };
  watch(room, page, seen);
  if (init) await page.addInitScript(init);
  await page.goto(url);
  return { browser, room, page, seen };
}

function watch(room, page, seen) {
  page.on("console", (m) => m.type() === "error" && seen.errors.push(m.text()));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  room.on("request", (request) => seen.requests.push(request.url()));
  room.on("response", async (response) => {
    if (response.fromServiceWorker()) return;
    seen.bytes += Number(response.headers()["content-length"] ?? 0);
  });
}

const ready = (page) => page.waitForSelector("html[data-ready]", { timeout: 30000 });
const text = (page, id) => page.locator(id).innerText();
const labels = (page) => page.locator("#bars .label").allInnerTexts();
const settled = (page, pattern) =>
  page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector("#status").textContent),
    pattern,
    { timeout: 60000 },
  );

const silence = (page) =>
  page.locator("#status").evaluate((element) => (element.textContent = ""));

async function choose(page, files) {
  await silence(page);
  await page.setInputFiles("#files", files);
  await settled(page, "^Done");
  await page.waitForSelector("#bars li");
}

/** Hands the page a file as a browser does: event is paste or drop. */
function hand(page, file, event) {
  const bytes = [...readFileSync(file)];
  return page.evaluate(
    ({ bytes, event }) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], "handed.jpg"));
      const made =
        event === "paste"
          ? new ClipboardEvent("paste", { clipboardData: transfer })
          : new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
      (event === "paste" ? document : document.body).dispatchEvent(made);
    },
    { bytes, event },
  );
}

async function violations(page) {
  await page.evaluate(axe);
  return page.evaluate(async () =>
    (await globalThis.axe.run()).violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)}`),
  );
}

const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

const scenarios = {
  async photo(url) {
    const began = performance.now();
    const { browser, page, seen } = await opened(url);
    await ready(page);
    const milliseconds = performance.now() - began;
    await choose(page, config.photos[0]);
    const int8 = await labels(page);
    await page.check("[value=float32]");
    await page.waitForFunction(() => /agree/.test(document.querySelector("#latency").textContent));
    const found = {
      milliseconds,
      int8,
      isolated: await page.evaluate(() => crossOriginIsolated),
      runtime: await text(page, "#runtime"),
      latency: await text(page, "#latency"),
      map: await page.locator("#view").getAttribute("aria-label"),
      ...seen,
    };
    await browser.close();
    return found;
  },

  async handed(url) {
    const granted = ["clipboard-read", "clipboard-write"];
    const { browser, page } = await opened(url, { granted });
    await ready(page);
    const found = {};
    for (const event of ["paste", "drop"]) {
      await silence(page);
      await hand(page, config.photos[0], event);
      await settled(page, "^Done");
      found[event] = await text(page, "#result-title");
    }
    await page.evaluate(
      async (bytes) => {
        const blob = new Blob([Uint8Array.from(bytes)], { type: "image/png" });
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
      },
      [...readFileSync(config.png)],
    );
    await silence(page);
    await page.click("#paste");
    await settled(page, "^Done");
    found.button = await text(page, "#result-title");
    await browser.close();
    return found;
  },

  async many(url) {
    const { browser, page, seen } = await opened(url, { context: { viewport: DESK } });
    await ready(page);
    await choose(page, [...config.photos, ...config.broken]);
    await silence(page);
    await page.check("[value=float32]");
    await settled(page, "^Done");
    const download = page.waitForEvent("download");
    await page.click("#csv");
    await (await download).saveAs(config.csv);
    await page.locator("#rows button:enabled").last().click();
    await page.waitForFunction(
      (name) => document.querySelector("#result-title").textContent === name,
      await page.locator("#rows button:enabled").last().innerText(),
    );
    await page.screenshot({ path: config.screenshots.many, fullPage: true });
    const found = { rows: await page.locator("#rows tr").allInnerTexts(), ...seen };
    await browser.close();
    return found;
  },

  async camera(url) {
    const args = [...FAKE_CAMERA, "--use-fake-ui-for-media-stream"];
    const { browser, page, seen } = await opened(url, { args });
    await ready(page);
    await page.click("#camera");
    await page.waitForFunction(() => / [1-9]\d*\.\d frames/.test(document.querySelector("#latency").textContent));
    const found = { latency: await text(page, "#latency"), bars: await labels(page) };
    await page.screenshot({ path: config.screenshots.camera });
    await page.click("#camera");
    found.stopped = !(await page.locator("#result").isVisible());
    await choose(page, config.photos[0]);
    await browser.close();
    return { ...found, ...seen };
  },

  async refused(url) {
    const { browser, page, seen } = await opened(url, { args: FAKE_CAMERA });
    await ready(page);
    await page.click("#camera");
    await page.waitForSelector("#trouble:not([hidden])");
    const trouble = await text(page, "#trouble");
    await choose(page, config.photos[0]);
    const after = await page.locator("#trouble").isVisible();
    await browser.close();
    return { trouble, after, ...seen };
  },

  async troubles(url) {
    const lacking = await opened(url, { init: "delete globalThis.OffscreenCanvas" });
    await lacking.page.waitForSelector("#trouble:not([hidden])");
    const old = await text(lacking.page, "#trouble");
    await lacking.browser.close();
    const full = `const real = createImageBitmap; let first = true;
      globalThis.createImageBitmap = (...given) => first
        ? ((first = false), Promise.reject(new RangeError("Out of memory"))) : real(...given);`;
    const { browser, page } = await opened(url, { init: full });
    await ready(page);
    await page.setInputFiles("#files", config.photos[0]);
    await page.waitForSelector("#trouble:not([hidden])");
    const memory = await text(page, "#trouble");
    await choose(page, config.photos[1]);
    await browser.close();
    return { old, memory };
  },

  async offline(_, server) {
    const { browser, page, seen } = await opened(server.url);
    await ready(page);
    await page.waitForLoadState("networkidle");
    await server.end();
    await page.reload();
    await ready(page);
    await choose(page, config.photos[0]);
    const int8 = await labels(page);
    await page.check("[value=float32]");
    await page.waitForFunction(() => /agree/.test(document.querySelector("#latency").textContent));
    const found = { int8, latency: await text(page, "#latency"), ...seen };
    await browser.close();
    return found;
  },

  async looks(url) {
    const found = {};
    for (const colorScheme of ["light", "dark"]) {
      const { browser, page } = await opened(url, { context: { colorScheme } });
      await ready(page);
      await choose(page, config.photos);
      await page.click("#benchmark");
      await settled(page, "^Measured");
      found[colorScheme] = {
        overflow: await overflow(page),
        violations: await violations(page),
        back: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
        timings: await page.locator("#timings tr").allInnerTexts(),
      };
      await page.screenshot({ path: config.screenshots[colorScheme] });
      await browser.close();
    }
    return found;
  },

  async keyboard(url) {
    const { browser, page } = await opened(url, { context: { viewport: DESK } });
    await ready(page);
    const reached = [];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.value));
    }
    await page.focus("[value=int8]");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => /^float32/.test(document.querySelector("#runtime").textContent));
    const runtime = await text(page, "#runtime");
    const client = await page.context().newCDPSession(page);
    const { installabilityErrors } = await client.send("Page.getInstallabilityErrors");
    await browser.close();
    return { reached, runtime, installability: installabilityErrors.map((e) => e.errorId) };
  },

  async updated(url) {
    const { browser, page } = await opened(url);
    await ready(page);
    const before = await page.title();
    renameModel("Another model");
    await page.reload();
    await page.waitForFunction(() => document.title === "Another model");
    await ready(page);
    renameModel(before);
    await browser.close();
    return { before };
  },
};

/** What a new export changes: model.json, and its hash in the service worker. */
function renameModel(name) {
  const [model, worker] = ["model.json", "sw.js"].map((file) => join(config.folder, file));
  const hash = () => createHash("sha256").update(readFileSync(model)).digest("base64");
  const before = hash();
  writeFileSync(model, JSON.stringify({ ...JSON.parse(readFileSync(model, "utf8")), name }));
  writeFileSync(worker, readFileSync(worker, "utf8").replace(before, hash()));
}

const found = {};
let server = await served();
found.printed = server.printed;
for (const name of config.scenarios ?? Object.keys(scenarios)) {
  const began = performance.now();
  try {
    found[name] = await Promise.race([
      scenarios[name](server.url, server),
      new Promise((_, refuse) => setTimeout(refuse, PATIENCE, "it hangs")),
    ]);
  } catch (error) {
    found[name] = { failure: String(error).slice(0, 2000) };
  }
  await Promise.all(browsers.splice(0).map((browser) => browser.close()));
  found[name].seconds = (performance.now() - began) / 1000;
  if (name === "offline") server = await served();
}
found.status = await server.end();
writeFileSync(config.found, JSON.stringify(found, null, 1));
process.exit();
