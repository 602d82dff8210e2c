/** The worker: it owns the runtime, so that the page stays responsive and outlives it. */

import { loadRuntime, Network, probe } from "./litert";
import { inputOf } from "./pixels";
import type {
  Answer,
  Format,
  Model,
  Opened,
  Order,
  Reply,
  Timing,
} from "./protocol";

const WARM_UP = 3;

interface Asked {
  readonly id: number;
  readonly order: Order;
}

let model: Model;
let folder: string;
let runtime: Promise<void>;
const networks = new Map<Format, Promise<Network>>();

async function start(order: Extract<Order, { kind: "start" }>): Promise<null> {
  ({ model, folder } = order);
  runtime = loadRuntime(`${folder}litert/`);
  await runtime;
  return null;
}

/** The network of `format`, fetched and compiled when it is first asked for. */
function network(format: Format): Promise<Network> {
  const known = networks.get(format);
  if (known) return known;
  const made = opened(format);
  networks.set(format, made);
  made.catch(() => networks.delete(format)); // or a lost connection would be for ever
  return made;
}

async function opened(format: Format): Promise<Network> {
  await runtime;
  const file = model.files[format];
  const response = await fetch(folder + file.file).catch(() => null);
  if (!response?.ok) throw new Error(`unreachable:${file.file}`);
  const data = new Uint8Array(await response.arrayBuffer());
  return Network.open(data, format, file, model.preprocessing);
}

async function open(format: Format): Promise<Opened> {
  return { format, runtime: (await network(format)).runtime };
}

async function classify(order: Extract<Order, { kind: "classify" }>): Promise<Answer> {
  const { bitmap, format, jpeg } = order;
  try {
    const found = await network(format);
    const { pixels, part } = inputOf(bitmap, jpeg, model.preprocessing);
    const tensor = found.quantised(pixels);
    const began = performance.now();
    const { probabilities, maps } = await found.answer(tensor);
    const milliseconds = performance.now() - began;
    return { format, milliseconds, probabilities, maps, part };
  } finally {
    bitmap.close();
  }
}

async function benchmark(format: Format, runs: number): Promise<Timing> {
  const found = await network(format);
  const tensor = found.quantised(probe(model.preprocessing));
  const times: number[] = [];
  for (let i = 0; i < WARM_UP + runs; i++) {
    const began = performance.now();
    await found.answer(tensor);
    times.push(performance.now() - began);
  }
  const sorted = times.slice(WARM_UP).sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]!;
  return { format, runtime: found.runtime, median: at(0.5), p90: at(0.9), runs };
}

function obey(order: Order): Promise<Opened | Answer | Timing | null> {
  switch (order.kind) {
    case "start":
      return start(order);
    case "open":
      return open(order.format);
    case "classify":
      return classify(order);
    case "benchmark":
      return benchmark(order.format, order.runs);
  }
}

async function reply({ id, order }: Asked): Promise<Reply> {
  try {
    return { id, result: await obey(order) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

let turn: Promise<void> = Promise.resolve(); // the runtime does one thing at a time
self.onmessage = ({ data }: MessageEvent<Asked>) => {
  turn = turn.then(async () => self.postMessage(await reply(data)));
};
