/** The table of many photos as a file for spreadsheets. */

import type { Entry } from "./album";
import { labels90, refuses } from "./calibration";
import { type Answer, type Calibration, FORMATS } from "./protocol";
import { guesses, SHOWN } from "./ranking";

const SET_SEPARATOR = "|"; // of labels in a cell, as in prediction_rows.py

/** A line for each photo and each file that answered it, with a head; CRLF, quoted. */
export function csv(
  entries: readonly Entry[],
  labels: readonly string[],
  calibration: Calibration | null,
): string {
  const numbers = Array.from({ length: SHOWN }, (_, i) => i + 1);
  const head = [
    ...["photo", "file", "milliseconds"],
    ...numbers.flatMap((i) => [`label_${i}`, `probability_${i}`]),
    ...["error", "labels_90", "refused"],
  ];
  const lines = entries.flatMap((entry) => linesOf(entry, labels, calibration));
  return [head, ...lines].map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
}

function linesOf(
  entry: Entry,
  labels: readonly string[],
  calibration: Calibration | null,
): string[][] {
  const answered = FORMATS.flatMap((format) => entry.answers[format] ?? []);
  const lines = answered.map((answer) => {
    const cells = guesses(answer, labels).flatMap(({ label, probability }) => [
      label,
      probability.toFixed(6),
    ]);
    while (cells.length < 2 * SHOWN) cells.push("");
    const sets = calibration ? setCells(calibration, answer, labels) : ["", ""];
    const time = answer.milliseconds.toFixed(2);
    return [entry.name, answer.format, time, ...cells, "", ...sets];
  });
  if (!entry.error) return lines;
  const empty = Array(2 * SHOWN).fill("");
  return [...lines, [entry.name, "", "", ...empty, entry.error, "", ""]];
}

/** The cells of labels_90 and of refused. */
function setCells(
  calibration: Calibration,
  answer: Answer,
  labels: readonly string[],
): string[] {
  const found = labels90(calibration, answer, labels);
  return [found.join(SET_SEPARATOR), refuses(calibration, answer) ? "yes" : ""];
}

/** The cell, never one that a spreadsheet would compute. */
function quoted(cell: string): string {
  const text = /^[=+\-@]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const BYTE_ORDER = "\ufeff"; // or Excel does not take the text for UTF-8

/** Has the browser save `text` as a file of that name. */
export function save(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([BYTE_ORDER, text], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
