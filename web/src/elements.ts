/** The page's elements by name; index.html has them all. */

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as T;
}

export const page = {
  name: element("name"),
  description: element("description"),
  status: element("status"),
  trouble: element("trouble"),
  runtime: element("runtime"),
  drop: element("drop"),
  files: element<HTMLInputElement>("files"),
  camera: element<HTMLButtonElement>("camera"),
  turn: element<HTMLButtonElement>("turn"),
  paste: element<HTMLButtonElement>("paste"),
  install: element<HTMLButtonElement>("install"),
  formats: element<HTMLFieldSetElement>("formats"),
  result: element("result"),
  title: element("result-title"),
  view: element<HTMLCanvasElement>("view"),
  video: element<HTMLVideoElement>("video"),
  answer: element("answer"),
  bars: element("bars"),
  latency: element("latency"),
  mapsChoice: element("maps-choice"),
  maps: element<HTMLInputElement>("maps"),
  many: element("many"),
  rows: element("rows"),
  csv: element<HTMLButtonElement>("csv"),
  stop: element<HTMLButtonElement>("stop"),
  clear: element<HTMLButtonElement>("clear"),
  benchmark: element<HTMLButtonElement>("benchmark"),
  timings: element("timings"),
  selftest: element<HTMLButtonElement>("selftest"),
  tested: element("tested"),
};

/** Tells what is going on; screen readers say it when they have time. */
export function say(text: string): void {
  page.status.textContent = text;
}

/** Tells what went wrong, at once; nothing: takes it away. */
export function complain(text: string | null): void {
  page.trouble.textContent = text ?? "";
  page.trouble.hidden = text === null;
}

/** An element with this text and these properties. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text: string,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
): HTMLElementTagNameMap[K] {
  return Object.assign(document.createElement(tag), { textContent: text, ...properties });
}
