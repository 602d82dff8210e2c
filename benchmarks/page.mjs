// The page with many photos: node page.mjs CONFIG.json, which page.py writes.
import { writeFileSync } from "node:fs";
import {
  closeAll,
  config,
  DESK,
  opened,
  ready,
  served,
  silence,
} from "../tests/web/browser.mjs";

const HOURS = { timeout: 3_600_000 };
const said = (page, word) =>
  page.waitForFunction(
    (start) => document.querySelector("#status").textContent.startsWith(start),
    word,
    HOURS,
  );

const server = await served();
const began = performance.now();
const { page, seen } = await opened(server.url, { context: { viewport: DESK } });
await ready(page);
const found = { milliseconds: performance.now() - began, bytes: seen.bytes };
found.timings = [];
for (let round = 0; round < config.rounds; round++) {
  await silence(page);
  await page.click("#benchmark");
  await said(page, "Measured");
  found.timings.push(await page.locator("#timings tr").allInnerTexts());
}
writeFileSync(config.csv, "");
if (config.photos.length) {
  await page.setInputFiles("#files", config.photos);
  await said(page, "Done");
  const download = page.waitForEvent("download");
  await page.click("#csv");
  await (await download).saveAs(config.csv);
}
found.errors = seen.errors;
found.hosts = [...new Set(seen.requests.map((url) => new URL(url).hostname))];
await closeAll();
await server.end();
writeFileSync(config.found, JSON.stringify(found));
process.exit();
