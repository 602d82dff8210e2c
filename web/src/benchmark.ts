/** How fast this device is: both files, run many times on the same pixels. */

import { make, page, say } from "./elements";
import type { Engine } from "./engine";
import { type Format, FORMATS, type Timing } from "./protocol";

const RUNS = 30;

/** Times each file and writes its row. */
export async function measure(engine: Engine): Promise<void> {
  page.timings.replaceChildren();
  for (const format of FORMATS) {
    say(`Measuring ${format}: ${RUNS} runs.`);
    page.timings.append(rowOf(format, await engine.benchmark(format, RUNS)));
  }
  say("Measured.");
}

function rowOf(format: Format, { runtime, median, p90 }: Timing): HTMLTableRowElement {
  const row = make("tr", "");
  const times = [median, p90].map((time) => `${time.toFixed(1)} ms`);
  row.append(make("th", format, { scope: "row" }));
  row.append(...[runtime, ...times].map((text) => make("td", text)));
  return row;
}
