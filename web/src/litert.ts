/** LiteRT.js: which of its builds a browser loads, and one .tflite file in it. */

import {
  type CompiledModel,
  getWebGpuDevice,
  loadAndCompile,
  loadLiteRt,
  supportsFeature,
  Tensor,
} from "@litertjs/core";
import { roundHalfEven } from "./crop";
import type { Format, Maps, ModelFile, Preprocessing, Steps } from "./protocol";

const MOST_THREADS = 4; // a phone's fast cores; the slow ones hold the others up
const PROBE_APART = 0.02; // of any probability, between WebGPU and WebAssembly

type Numbers = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

let threads = 1;

/** Loads the build for this browser: for WebGPU, else threaded, else plain. */
export async function loadRuntime(folder: string): Promise<void> {
  const jspi = (await hasGpu()) && (await supportsFeature("jspi"));
  const threaded =
    !jspi &&
    self.crossOriginIsolated &&
    (await supportsFeature("threads")) &&
    (await supportsFeature("relaxedSimd"));
  Object.assign(self, { Module: settings(folder) });
  try {
    await loadLiteRt(folder, { jspi, threads: threaded });
  } catch (error) {
    const lost = error instanceof DOMException && error.name === "NetworkError";
    throw lost ? new Error("unreachable:LiteRT.js") : error;
  }
  threads = threaded ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

/** What the build is told: in a worker it cannot tell from where it was loaded. */
function settings(folder: string): object {
  return {
    locateFile: (name: string) => folder + name,
    mainScriptUrlOrBlob: `${folder}litert_wasm_threaded_internal.js`,
    // it reports what it does as errors
    printErr: (line: string) =>
      /^(INFO|WARNING|Created)/.test(line) ? console.debug(line) : console.error(line),
  };
}

async function hasGpu(): Promise<boolean> {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** A .tflite file that is ready to answer. */
export class Network {
  private constructor(
    private readonly compiled: CompiledModel,
    private readonly file: ModelFile,
    private readonly size: Preprocessing,
    readonly runtime: string,
  ) {}

  /** Compiles `data`; float32 for WebGPU where that answers as WebAssembly does. */
  static async open(
    data: Uint8Array,
    format: Format,
    file: ModelFile,
    size: Preprocessing,
  ): Promise<Network> {
    const compiled = await loadAndCompile(data, {
      accelerator: "wasm",
      cpuOptions: { numThreads: threads },
    });
    const many = threads === 1 ? "one thread" : `${threads} threads`;
    const exact = new Network(compiled, file, size, `WebAssembly, ${many}`);
    await exact.run(probe(size)); // the first run is slower than all others
    if (format !== "float32" || !getWebGpuDevice()) return exact;
    return (await Network.onGpu(data, exact)) ?? exact;
  }

  private static async onGpu(data: Uint8Array, exact: Network): Promise<Network | null> {
    try {
      const compiled = await loadAndCompile(data, {
        accelerator: "webgpu",
        gpuOptions: { precision: "fp32" },
      });
      const found = new Network(compiled, exact.file, exact.size, "WebGPU");
      const pixels = probe(exact.size);
      const [mine, theirs] = [await found.run(pixels), await exact.run(pixels)];
      const apart = mine.probabilities.map((p, i) =>
        Math.abs(p - theirs.probabilities[i]!),
      );
      if (!(Math.max(...apart) <= PROBE_APART)) return null;
      exact.compiled.delete();
      return found;
    } catch (error) {
      console.info("WebGPU does not take this file:", error);
      return null;
    }
  }

  /** The tensor of `pixels`, [height, width, 3] in 0..255, as the file wants them. */
  quantised(pixels: Float32Array<ArrayBuffer>): Numbers {
    const { scale, zero } = this.file.image;
    if (!scale) return pixels;
    return bytes(pixels.map((x) => roundHalfEven(x / scale + zero)));
  }

  /** Probabilities, and maps if the file has them, of `pixels`. */
  async run(
    pixels: Float32Array<ArrayBuffer>,
  ): Promise<{ probabilities: Float32Array; maps: Maps | null }> {
    return this.answer(this.quantised(pixels));
  }

  /** The same from a tensor that `quantised` gave; what a benchmark times. */
  async answer(
    tensor: Numbers,
  ): Promise<{ probabilities: Float32Array; maps: Maps | null }> {
    const { height, width } = this.size;
    const image = Tensor.fromTypedArray(tensor, [1, height, width, 3]);
    const outputs = await this.compiled.run({ image });
    try {
      const probabilities = await real(outputs["probabilities"]!, this.file.probabilities);
      return { probabilities, maps: await this.maps(outputs["activation_map"]) };
    } finally {
      image.delete();
      Object.values(outputs).forEach((output) => output.delete());
    }
  }

  private async maps(output: Tensor | undefined): Promise<Maps | null> {
    const steps = this.file.activation_map;
    if (!output || !steps) return null;
    const [, rows = 0, columns = 0] = output.type.layout.dimensions;
    return { rows, columns, values: await real(output, steps) };
  }
}

function bytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint8ClampedArray.from(values).buffer);
}

/** The numbers that a tensor stands for; copied, for its memory is the runtime's. */
async function real(tensor: Tensor, { scale, zero }: Steps): Promise<Float32Array> {
  const data = await tensor.data();
  return Float32Array.from(data, (x) => (scale ? (x - zero) * scale : x));
}

/** Pixels that are no photo, always the same, to compare two runtimes with. */
export function probe({ height, width }: Preprocessing): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: height * width * 3 }, (_, i) => (i * 7919) % 256);
}
