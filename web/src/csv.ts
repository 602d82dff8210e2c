/** The table of many photos as a file for spreadsheets. */

import type { Entry } from "./album";
import { FORMATS } from "./protocol";
import { guesses, SHOWN } from "./ranking";

/** A line for each photo and each file that answered it, with a head; CRLF, quoted. */
export function csv(entries: readonly Entry[], labels: readonly string[]): string {
  const numbers = Array.from({ length: SHOWN }, (_, i) => i + 1);
  const head = [
    ...["photo", "file", "milliseconds"],
    ...numbers.flatMap((i) => [`label_${i}`, `probability_${i}`]),
    "error",
  ];
  const lines = entries.flatMap((entry) => linesOf(entry, labels));
  return [head, ...lines].map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
}

function linesOf(entry: Entry, labels: readonly string[]): string[][] {
  const answered = FORMATS.flatMap((format) => entry.answers[format] ?? []);
  const lines = answered.map((answer) => {
    const cells = guesses(answer, labels).flatMap(({ label, probability }) => [
      label,
      probability.toFixed(6),
    ]);
    while (cells.length < 2 * SHOWN) cells.push("");
    return [entry.name, answer.format, answer.milliseconds.toFixed(2), ...cells, ""];
  });
  if (!entry.error) return lines;
  return [...lines, [entry.name, "", "", ...Array(2 * SHOWN).fill(""), entry.error]];
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
