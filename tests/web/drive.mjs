// Drives the page through scenarios and writes what it found as one JSON object.
// node drive.mjs CONFIG.json, which test_page.py writes.
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  config, served, closeAll, opened, ready, renameModel,
  text, labels, settled, silence, choose, hand,
  violations, overflow, DESK, FAKE_CAMERA,
} from "./browser.mjs";

const PATIENCE = 90_000; // milliseconds for one scenario

/** What a benchmark says when float32 cannot be had. */
async function lost(url) {
  const { browser, page } = await opened(url, { context: { serviceWorkers: "block" } });
  await ready(page);
  await page.route("**/float32.tflite", (route) => route.abort());
  await page.click("#benchmark");
  await page.waitForSelector("#trouble:not([hidden])");
  const found = { lost: await text(page, "#trouble"), status: await text(page, "#status") };
  await browser.close();
  return found;
}

/** What the camera says: in words, in the first bar and of each frame alone. */
function watched(page, enough) {
  return page.evaluate(
    (enough) =>
      new Promise((resolve) => {
        const [bars, steady, raw] = [document.querySelector("#bars"), [], []];
        const answers = [];
        const end = () => (observer.disconnect(), resolve({ steady, raw, answers }));
        const observer = new MutationObserver(() => {
          steady.push(bars.querySelector(".label").textContent);
          answers.push(document.querySelector("#answer").textContent);
          const { textContent } = bars.querySelector(".raw");
          raw.push(/^this frame: (.*), [\d.]+ %$/.exec(textContent)[1]);
          if (raw.filter((label, i) => i && label !== raw[i - 1]).length >= enough) end();
        });
        observer.observe(bars, { childList: true });
        setTimeout(end, 30_000);
      }),
    enough,
  );
}

/** Waits until the camera's next frame is answered, by the file of that name. */
async function nextFrame(page, file) {
  await page.locator("#latency").evaluate((element) => (element.textContent = ""));
  await page.waitForFunction(
    (file) => new RegExp(`^${file}: .*frames`).test(document.querySelector("#latency").textContent),
    file,
  );
}

/** What the page says of itself. */
async function tested(page) {
  await page.locator("#tested").evaluate((element) => (element.textContent = ""));
  await page.click("#selftest");
  await page.waitForSelector("#selftest:enabled");
  return text(page, "#tested");
}

/** Changes a file of the page on its way to the browser. */
const changed = (file, change) => (page) =>
  page.route(`**/${file}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: change(await response.text()) });
  });

/** Has other pixels come in place of the self-test's images. */
const replaced = (folder) => (page) =>
  page.route("**/selftest/*.png", (route) =>
    route.fulfill({ path: join(folder, basename(route.request().url())) }),
  );

/** Has the page take pixels in other units. */
function rescaled(text) {
  const model = JSON.parse(text);
  model.files.int8.image.scale = 255;
  return JSON.stringify(model);
}

const mistakes = {
  labels: changed("labels.txt", (text) => text.trim().split("\n").reverse().join("\n")),
  scaling: changed("model.json", rescaled),
  crop: replaced(config.mistaken.crop),
  channels: replaced(config.mistaken.channels),
};

/** What the page says of the chosen photo in words, and where. */
async function said(page) {
  return {
    answer: await page.locator("#answer").textContent(),
    visible: await page.locator("#answer").isVisible(),
    photo: await page.locator("#view").getAttribute("aria-label"),
    status: await text(page, "#status"),
  };
}

/** What both files say of a photo, of a page with that calibration. */
async function answered(page, photo) {
  await page.reload();
  await ready(page);
  await choose(page, photo);
  const int8 = await said(page);
  await silence(page);
  await page.check("[value=float32]");
  await settled(page, "^Done");
  return { int8, float32: await said(page) };
}

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
      float32: await labels(page),
      hint: await text(page, ".hint"),
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
    const { browser, page, seen } = await opened(url, { granted });
    await ready(page);
    const found = { ...seen };
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
    await page.uncheck("#maps");
    await page.waitForFunction(
      () => !/where it sees/.test(document.querySelector("#view").getAttribute("aria-label")),
    );
    found.shown = await page.locator("#view").evaluate((canvas) =>
      [1, 4, 7].map((x) => [...canvas.getContext("2d").getImageData(x, 2, 1, 1).data]),
    );
    await browser.close();
    return found;
  },

  async calibrated(url) {
    const { browser, page, seen } = await opened(url, { context: { serviceWorkers: "block" } });
    const found = {};
    for (const [name, { photo, calibration }] of Object.entries(config.calibrated)) {
      await changed("model.json", (text) => JSON.stringify({ ...JSON.parse(text), calibration }))(page);
      found[name] = await answered(page, photo);
    }
    found.violations = await violations(page);
    await choose(page, config.photos[0]); // beside the one that the last calibration refuses
    found.rows = await page.locator("#rows tr").allInnerTexts();
    const download = page.waitForEvent("download");
    await page.click("#csv");
    await (await download).saveAs(config.refused);
    await browser.close();
    return { ...found, ...seen };
  },

  async camera(url) {
    const args = [...FAKE_CAMERA, "--use-fake-ui-for-media-stream"];
    const { browser, page, seen } = await opened(url, { args });
    await ready(page);
    await page.click("#camera");
    await page.waitForFunction(() => / [1-9]\d*\.\d frames/.test(document.querySelector("#latency").textContent));
    const found = { latency: await text(page, "#latency"), bars: await labels(page) };
    await page.screenshot({ path: config.screenshots.camera });
    found.watched = await watched(page, 12);
    found.violations = await violations(page);
    await page.check("[value=float32]");
    await nextFrame(page, "float32");
    await page.click("#turn");
    await nextFrame(page, "float32");
    found.again = await labels(page);
    await page.click("#camera");
    found.stopped = !(await page.locator("#result").isVisible());
    await choose(page, config.photos);
    await page.click("#camera");
    await page.waitForFunction(() => /frames/.test(document.querySelector("#latency").textContent));
    await page.locator("#rows button").first().click();
    await page.waitForFunction(() => !/frames/.test(document.querySelector("#latency").textContent));
    found.left = await text(page, "#camera");
    found.title = await text(page, "#result-title");
    found.chosen = await page.locator("#rows button").first().innerText();
    await browser.close();
    return { ...found, ...seen };
  },

  async refused(url) {
    const { browser, page, seen } = await opened(url, { args: FAKE_CAMERA });
    await page.setInputFiles("#files", config.photos[1]); // before the page is ready
    await settled(page, "^Done");
    const early = await text(page, "#result-title");
    await page.click("#camera");
    await page.waitForSelector("#trouble:not([hidden])");
    const trouble = await text(page, "#trouble");
    await choose(page, config.photos[0]);
    const after = await page.locator("#trouble").isVisible();
    await browser.close();
    return { early, trouble, after, ...seen };
  },

  async insecure(url) {
    const args = ["--host-resolver-rules=MAP phone.test 127.0.0.1"];
    const { browser, page, seen } = await opened(
      url.replace("127.0.0.1", "phone.test"), { args },
    );
    await ready(page);
    await page.click("#camera");
    await page.waitForSelector("#trouble:not([hidden])");
    const trouble = await text(page, "#trouble");
    await choose(page, config.photos[0]);
    // Chromium's word on a header that it heeds on https alone
    const errors = seen.errors.filter((line) => !line.includes("Opener-Policy"));
    const requests = seen.requests.map((asked) => asked.replace("phone.test", "127.0.0.1"));
    const found = { trouble, int8: await labels(page), errors, requests };
    await browser.close();
    return found;
  },

  async troubles(url) {
    const lacking = await opened(url, { init: "delete globalThis.OffscreenCanvas" });
    await lacking.page.waitForSelector("#trouble:not([hidden])");
    const old = await text(lacking.page, "#trouble");
    await lacking.browser.close();
    const full = `const real = createImageBitmap; let first = true;
      globalThis.createImageBitmap = (...given) => first
        ? ((first = false), Promise.reject(new RangeError("Out of memory"))) : real(...given);`;
    const { browser, page, seen } = await opened(url, { init: full });
    await ready(page);
    await page.setInputFiles("#files", config.photos[0]);
    await page.waitForSelector("#trouble:not([hidden])");
    const memory = await text(page, "#trouble");
    await choose(page, config.photos[1]);
    await browser.close();
    return { old, memory, ...(await lost(url)), ...seen };
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
      const { browser, page, seen } = await opened(url, { context: { colorScheme } });
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
      found.errors = [...(found.errors ?? []), ...seen.errors];
      found.requests = [...(found.requests ?? []), ...seen.requests];
      await browser.close();
    }
    return found;
  },

  async keyboard(url) {
    const { browser, page, seen } = await opened(url, { context: { viewport: DESK } });
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
    const installability = installabilityErrors.map((e) => e.errorId);
    return { reached, runtime, installability, ...seen };
  },

  async selftest(url) {
    const whole = await opened(url);
    await ready(whole.page);
    const found = { int8: await tested(whole.page) };
    await whole.page.check("[value=float32]");
    await settled(whole.page, "^float32 is ready");
    found.float32 = await tested(whole.page);
    await whole.browser.close();
    for (const [mistake, change] of Object.entries(mistakes)) {
      const { browser, page } = await opened(url, { context: { serviceWorkers: "block" } });
      await change(page);
      await page.reload();
      await ready(page);
      found[mistake] = await tested(page);
      await browser.close();
    }
    return { ...found, ...whole.seen };
  },

  async gpu(url) {
    const args = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
    const { browser, page, seen } = await opened(url, { args });
    await ready(page);
    const adapter = await page.evaluate(async () => !!(await navigator.gpu?.requestAdapter()));
    await page.check("[value=float32]");
    await settled(page, "^float32 is ready");
    const runtime = await text(page, "#runtime");
    await choose(page, config.photos[0]);
    const found = { adapter, runtime, labels: await labels(page), ...seen };
    await browser.close();
    return found;
  },

  async updated(url) {
    const { browser, page, seen } = await opened(url);
    await ready(page);
    const before = await page.title();
    renameModel("Another model");
    await page.reload();
    await page.waitForFunction(() => document.title === "Another model");
    await ready(page);
    renameModel(before);
    await browser.close();
    return { before, ...seen };
  },
};

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
  await closeAll();
  found[name].seconds = (performance.now() - began) / 1000;
  if (name === "offline") server = await served();
}
found.status = await server.end();
writeFileSync(config.found, JSON.stringify(found, null, 1));
process.exit();
