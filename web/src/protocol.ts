/** What export.py writes into model.json, and what the page and its worker exchange. */

export type Format = "int8" | "float32";
export const FORMATS: readonly Format[] = ["int8", "float32"];

/** A number in a tensor stands for scale * (number - zero); scale 0: for itself. */
export interface Steps {
  readonly scale: number;
  readonly zero: number;
}

/** One .tflite file: its name, size and tensors. */
export interface ModelFile {
  readonly file: string;
  readonly bytes: number;
  readonly image: Steps;
  readonly probabilities: Steps;
  /** Of the output activation_map, [1, rows, columns, classes], if the file has it. */
  readonly activation_map?: Steps;
}

/** The geometry of evaluation: a centre crop, then an antialiased resize. */
export interface Preprocessing {
  readonly height: number;
  readonly width: number;
  readonly crop_fraction: number;
  /** The pixels that a large JPEG keeps on its shorter side when it is halved. */
  readonly least_side: number;
  /** What the sides of a JPEG may be divided by. */
  readonly jpeg_ratios: readonly number[];
}

/** What the probabilities mean; calibration.py says it of each. */
export interface Calibration {
  readonly temperature: number;
  readonly least_probability_90: number;
  readonly least_probability_95: number;
  readonly refuse_below: number | null;
}

export interface Model {
  readonly name: string;
  readonly description: string;
  readonly preprocessing: Preprocessing;
  /** None of a network that is not calibrated. */
  readonly calibration: Calibration | null;
  readonly files: Readonly<Record<Format, ModelFile>>;
  /** Whether float32 is small enough to be fetched before anybody asks for it. */
  readonly ahead: boolean;
}

/** Class activation maps: values[(row * columns + column) * classes + class]. */
export interface Maps {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** The part of a photo that the network saw, in parts of its width and height. */
export interface Part {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Answer {
  readonly format: Format;
  /** Milliseconds of the network alone, from bytes to probabilities. */
  readonly milliseconds: number;
  readonly probabilities: Float32Array;
  readonly maps: Maps | null;
  readonly part: Part;
}

/** What computes: where, on how many threads. */
export interface Opened {
  readonly format: Format;
  readonly runtime: string;
}

export interface Timing {
  readonly format: Format;
  readonly runtime: string;
  readonly median: number;
  readonly p90: number;
  readonly runs: number;
}

export type Order =
  | { readonly kind: "start"; readonly model: Model; readonly folder: string }
  | { readonly kind: "open"; readonly format: Format }
  | {
      readonly kind: "classify";
      readonly format: Format;
      readonly bitmap: ImageBitmap;
      readonly jpeg: boolean;
    }
  | { readonly kind: "benchmark"; readonly format: Format; readonly runs: number };

export type Reply =
  | { readonly id: number; readonly result: Opened | Answer | Timing | null }
  | { readonly id: number; readonly error: string };
