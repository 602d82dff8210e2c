/** One answer: bars, the photo, the map, both files' times. */

import { make, page } from "./elements";
import { drawMap, drawPhoto, mostEvidence } from "./overlay";
import { type Answer, type Format, FORMATS } from "./protocol";
import { type Guess, guesses } from "./ranking";
import type { Steadied } from "./steady";

const MAPPED = 3; // classes that share the colours' range

export function percent(probability: number): string {
  return `${(100 * probability).toFixed(1)} %`;
}

/** The five likeliest labels as bars; chosen: called with the one that is pressed. */
export function showBars(
  found: readonly Guess[],
  pressed: number | null,
  chosen: ((place: number) => void) | null,
): void {
  page.bars.replaceChildren(...found.map((guess) => bar(guess, pressed, chosen)));
}

function bar(
  guess: Guess,
  pressed: number | null,
  chosen: ((place: number) => void) | null,
): HTMLLIElement {
  const item = make("li", "");
  item.style.setProperty("--part", String(guess.probability));
  const label = chosen
    ? make("button", guess.label, { onclick: () => chosen(guess.place), type: "button" })
    : make("span", guess.label);
  if (chosen) label.setAttribute("aria-pressed", String(guess.place === pressed));
  label.classList.add("label");
  const value = make("span", percent(guess.probability), { className: "value" });
  item.append(label, value);
  return item;
}

/** The answer in words above the bars; "": no words. */
export function showAnswer(text: string): void {
  page.answer.textContent = text;
  page.answer.hidden = !text;
}

/** The steady label and the averages as bars, and small what this frame alone says. */
export function showSteady(
  steadied: Steadied,
  frame: Answer,
  labels: readonly string[],
): void {
  showBars(guesses(steadied, labels, steadied.place), null, null);
  const [raw] = guesses(frame, labels, steadied.raw);
  const text = raw ? `this frame: ${raw.label}, ${percent(raw.probability)}` : "";
  const label = page.bars.querySelector(".label");
  label?.after(make("span", text, { className: "raw" }));
}

/** The photo, with the map of the class at `place` over it if there is one.
 *
 * said: the answer in words, or "".
 */
export function showPhoto(
  photo: ImageBitmap,
  answer: Answer,
  labels: readonly string[],
  place: number | null,
  said: string,
): void {
  drawPhoto(page.view, photo, answer.part);
  const { maps, part } = answer;
  const best = guesses(answer, labels);
  const first = best[0] ? `${best[0].label}, ${percent(best[0].probability)}` : "";
  const looked = maps && place !== null ? `; where it sees ${labels[place]}` : "";
  const words = said && `${said}; `;
  page.view.setAttribute("aria-label", `the photo: ${words}${first}${looked}`);
  if (!maps || place === null) return;
  const places = best.slice(0, MAPPED).map((guess) => guess.place);
  drawMap(page.view, part, maps, place, mostEvidence(maps, [...places, place]));
}

/** Each file's milliseconds and first label, and whether they agree. */
export function showLatency(
  answers: Partial<Record<Format, Answer>>,
  labels: readonly string[],
): void {
  const found = FORMATS.flatMap((format) => answers[format] ?? []);
  const firsts = found.map((answer) => guesses(answer, labels)[0]?.label ?? "");
  const texts = found.map(
    (answer, i) => `${answer.format}: ${answer.milliseconds.toFixed(1)} ms, ${firsts[i]}`,
  );
  if (found.length === 2) texts.push(agreement(firsts[0] === firsts[1]));
  page.latency.textContent = texts.join(" · ");
}

export function agreement(same: boolean): string {
  return same ? "they agree" : "they disagree";
}
