/** The likeliest classes of an answer. */

import type { Answer } from "./protocol";

export const SHOWN = 5;

export interface Guess {
  readonly place: number;
  readonly label: string;
  readonly probability: number;
}

/** The five likeliest, likeliest first; equal ones in the order of the labels. */
export function guesses(answer: Answer, labels: readonly string[]): Guess[] {
  const { probabilities } = answer;
  const places = Array.from(probabilities.keys());
  places.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  return places.slice(0, SHOWN).map((place) => ({
    place,
    label: labels[place] ?? `class ${place}`,
    probability: probabilities[place]!,
  }));
}
