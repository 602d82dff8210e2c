/** The self-test: images of the export, and what each file must answer to them. */

import type { Engine } from "./engine";
import { decode } from "./photo";
import type { Format, Model } from "./protocol";
import { unreachable } from "./trouble";

const FOLDER = "selftest/";
const RIGHT = "right";
const NEAR = 0.5; // of the distance to the right answers, that to a mistake's may be

/** Probabilities of some classes, by RIGHT or the mistake that gives them. */
interface Expected {
  readonly image: string;
  readonly classes: readonly number[];
  readonly probabilities: Readonly<Record<string, readonly number[]>>;
}

interface FileTest {
  readonly tolerance: number;
  readonly answers: readonly Expected[];
}

/** The content of selftest.json. */
interface SelfTest {
  readonly labels: readonly string[];
  readonly mistakes: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, FileTest>>;
}

/** Whether this page's answers are right: "passed", or the mistake and what it is. */
export async function selfTest(
  engine: Engine,
  model: Model,
  format: Format,
  labels: readonly string[],
): Promise<string> {
  const test = (await (await fetched("selftest.json")).json()) as SelfTest;
  const wrong = wrongLabels(labels, test.labels);
  if (wrong) return wrong;
  const file = test.files[model.files[format].file]!;
  const found: Float32Array[] = [];
  for (const { image } of file.answers) {
    const { bitmap, jpeg } = await decode(await (await fetched(image)).blob(), image);
    found.push((await engine.classify(format, bitmap, jpeg)).probabilities);
  }
  return verdict(file, found, test.mistakes);
}

async function fetched(name: string): Promise<Response> {
  const response = await fetch(FOLDER + name).catch(() => null);
  if (!response?.ok) throw unreachable(FOLDER + name);
  return response;
}

function wrongLabels(
  found: readonly string[],
  right: readonly string[],
): string | null {
  const place = right.findIndex((label, i) => i < found.length && label !== found[i]);
  if (place >= 0)
    return `labels: line ${place + 1} is ${found[place]}, must be ${right[place]}`;
  if (found.length === right.length) return null;
  return `labels: there are ${found.length}, must be ${right.length}`;
}

function verdict(
  file: FileTest,
  found: readonly Float32Array[],
  mistakes: SelfTest["mistakes"],
): string {
  const shown = Object.keys(mistakes).filter((m) => m in file.answers[0]!.probabilities);
  const right = distance(file, found, RIGHT);
  if (right <= file.tolerance) return `passed (${["labels", ...shown].join(", ")})`;
  const differ =
    `the answers differ by ${right.toFixed(3)}, allowed ${file.tolerance.toFixed(3)}`;
  const apart = shown.map((mistake) => distance(file, found, mistake));
  const nearest = shown[apart.indexOf(Math.min(...apart))];
  if (nearest === undefined || !(Math.min(...apart) <= NEAR * right))
    return `unknown: ${differ}; they are not those of a known mistake`;
  return `${nearest}: ${mistakes[nearest]} (${differ})`;
}

/** The mean over the images of the largest difference of a probability. */
function distance(
  file: FileTest,
  found: readonly Float32Array[],
  name: string,
): number {
  const apart = file.answers.map(({ classes, probabilities }, i) =>
    Math.max(
      ...classes.map((place, j) => Math.abs(found[i]![place]! - probabilities[name]![j]!)),
    ),
  );
  return apart.reduce((sum, x) => sum + x, 0) / apart.length;
}
