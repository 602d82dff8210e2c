/** The likeliest classes of an answer. */

import type { Answer } from "./protocol";

export const SHOWN = 5;

export interface Guess {
  readonly place: number;
  readonly label: string;
  readonly probability: number;
}

/** The five that `ranked` has first. */
export function guesses(
  answer: Pick<Answer, "probabilities">,
  labels: readonly string[],
  first: number | null = null,
): Guess[] {
  return ranked(answer, labels, first).slice(0, SHOWN);
}

/** All classes, likeliest first; equal ones in the order of the labels.
 *
 * first: the place of one that comes first all the same.
 */
export function ranked(
  { probabilities }: Pick<Answer, "probabilities">,
  labels: readonly string[],
  first: number | null = null,
): Guess[] {
  const places = Array.from(probabilities.keys());
  const late = (place: number) => Number(place !== first);
  places.sort(
    (a, b) => late(a) - late(b) || probabilities[b]! - probabilities[a]! || a - b,
  );
  return places.map((place) => ({
    place,
    label: labels[place] ?? `class ${place}`,
    probability: probabilities[place]!,
  }));
}
