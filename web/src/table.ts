/** The table of many photos: a row each, a column for each file. */

import type { Entry } from "./album";
import { answerText } from "./calibration";
import { make, page } from "./elements";
import { type Answer, type Calibration, FORMATS } from "./protocol";
import { guesses } from "./ranking";
import { percent } from "./view";

const rows = new Map<Entry, HTMLTableRowElement>();

/** Writes the row of `entry`, anew if it has one; chosen: called when it is pressed. */
export function writeRow(
  entry: Entry,
  labels: readonly string[],
  calibration: Calibration | null,
  chosen: (entry: Entry) => void,
): void {
  const row = make("tr", "");
  const name = make("button", entry.name, { type: "button", onclick: () => chosen(entry) });
  name.title = entry.name;
  name.disabled = entry.error !== null;
  const head = make("th", "", { scope: "row" });
  head.append(name);
  row.append(head, ...cells(entry, labels, calibration));
  const before = rows.get(entry);
  if (before) before.replaceWith(row);
  else page.rows.append(row);
  rows.set(entry, row);
}

function cells(
  entry: Entry,
  labels: readonly string[],
  calibration: Calibration | null,
): HTMLElement[] {
  if (entry.error) return [make("td", entry.error, { colSpan: FORMATS.length + 1 })];
  const answers = FORMATS.map((format) => entry.answers[format]);
  const found = answers.map((answer) => cellOf(answer, labels, calibration));
  return [...found, make("td", agree(answers, labels))];
}

/** The first label, and below it the answer in words where that says something else. */
function cellOf(
  answer: Answer | undefined,
  labels: readonly string[],
  calibration: Calibration | null,
): HTMLElement {
  const [first] = answer ? guesses(answer, labels) : [];
  if (!answer || !first) return make("td", "–");
  const cell = make("td", `${first.label}, ${percent(first.probability)}`);
  const said = answerText(calibration, answer, labels);
  if (said && said !== first.label) cell.append(make("div", said));
  return cell;
}

function agree(
  answers: readonly (Answer | undefined)[],
  labels: readonly string[],
): string {
  const [mine, theirs] = answers.map((a) => a && guesses(a, labels)[0]?.place);
  const both = mine !== undefined && theirs !== undefined;
  return both ? (mine === theirs ? "yes" : "no") : "–";
}

export function clearTable(): void {
  rows.clear();
  page.rows.replaceChildren();
}
