/** What a calibrated network says of a photo: one label, one of several, or none. */

import type { Answer, Calibration } from "./protocol";
import { ranked } from "./ranking";

// both as predictor.py has them
const REFUSAL = "none of these";
const MAX_ANSWER_LABELS = 5;

type Probabilities = Pick<Answer, "probabilities">;

/** Whether the photo is of none of the classes. */
export function refuses(calibration: Calibration, { probabilities }: Probabilities): boolean {
  return Math.max(...probabilities) < Math.fround(calibration.refuse_below ?? 0);
}

/** The labels of which one is right for 90 % of images like those of validation.
 *
 * Likeliest first, at least one. first: as for `guesses`.
 */
export function labels90(
  calibration: Calibration,
  answer: Probabilities,
  labels: readonly string[],
  first: number | null = null,
): string[] {
  const least = Math.fround(calibration.least_probability_90); // NumPy compares float32
  return ranked(answer, labels, first)
    .filter(({ probability }, i) => i === 0 || probability >= least)
    .map(({ label }) => label);
}

/** "skirt", "skirt or dress" or "none of these"; "" without a calibration. */
export function answerText(
  calibration: Calibration | null,
  answer: Probabilities,
  labels: readonly string[],
  first: number | null = null,
): string {
  if (!calibration) return "";
  if (refuses(calibration, answer)) return REFUSAL;
  const found = labels90(calibration, answer, labels, first);
  const more = found.length - MAX_ANSWER_LABELS;
  const rest = more > 0 ? [`${more} more`] : [];
  return [...found.slice(0, MAX_ANSWER_LABELS), ...rest].join(" or ");
}
