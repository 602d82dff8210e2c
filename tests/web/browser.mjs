// The page in headless Chromium: how it is opened, asked and read.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { chromium } = createRequire(`${config.web}/`)("playwright-core");
const axe = readFileSync(join(config.web, "node_modules/axe-core/axe.min.js"), "utf8");

const QUIET = [
  ...["--no-sandbox", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];
export const FAKE_CAMERA = [
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-video-capture=${config.video}`,
];
export const PHONE = { width: 360, height: 740 };
export const DESK = { width: 1200, height: 900 };

/** `serve` of the run, when it has said where. */
export function served() {
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

/** Ends whatever browsers are open. */
export async function closeAll() {
  await Promise.all(browsers.splice(0).map((browser) => browser.close()));
}

/** A page of its own with what it said and asked for. */
export async function opened(url, { args = [], init, context = {}, granted = [] } = {}) {
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

export const ready = (page) => page.waitForSelector("html[data-ready]", { timeout: 30000 });
export const text = (page, id) => page.locator(id).innerText();
export const labels = (page) => page.locator("#bars .label").allInnerTexts();
export const settled = (page, pattern) =>
  page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector("#status").textContent),
    pattern,
    { timeout: 60000 },
  );

export const silence = (page) =>
  page.locator("#status").evaluate((element) => (element.textContent = ""));

export async function choose(page, files) {
  await silence(page);
  await page.setInputFiles("#files", files);
  await settled(page, "^Done");
  await page.waitForSelector("#bars li");
}

/** Hands the page a file as a browser does: event is paste or drop. */
export function hand(page, file, event) {
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

export async function violations(page) {
  await page.evaluate(axe);
  return page.evaluate(async () =>
    (await globalThis.axe.run()).violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)}`),
  );
}

export const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** What a new export changes: model.json, and its hash in the service worker. */
export function renameModel(name) {
  const [model, worker] = ["model.json", "sw.js"].map((file) => join(config.folder, file));
  const hash = () => createHash("sha256").update(readFileSync(model)).digest("base64");
  const before = hash();
  writeFileSync(model, JSON.stringify({ ...JSON.parse(readFileSync(model, "utf8")), name }));
  writeFileSync(worker, readFileSync(worker, "utf8").replace(before, hash()));
}
