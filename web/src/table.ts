/** The table of many photos: a row each, a column for each file. */

import type { Entry } from "./album";
import { make, page } from "./elements";
import { FORMATS } from "./protocol";
import { guesses } from "./ranking";
import { percent } from "./view";

const rows = new Map<Entry, HTMLTableRowElement>();

/** Writes the row of `entry`, anew if it has one; chosen: called when it is pressed. */
export function writeRow(
  entry: Entry,
  labels: readonly string[],
  chosen: (entry: Entry) => void,
): void {
  const row = make("tr", "");
  const name = make("button", entry.name, { type: "button", onclick: () => chosen(entry) });
  name.title = entry.name;
  name.disabled = entry.error !== null;
  const head = make("th", "", { scope: "row" });
  head.append(name);
  row.append(head, ...cells(entry, labels));
  const before = rows.get(entry);
  if (before) before.replaceWith(row);
  else page.rows.append(row);
  rows.set(entry, row);
}

function cells(entry: Entry, labels: readonly string[]): HTMLElement[] {
  if (entry.error) return [make("td", entry.error, { colSpan: FORMATS.length + 1 })];
  const firsts = FORMATS.map((format) => {
    const answer = entry.answers[format];
    return answer ? guesses(answer, labels)[0] : undefined;
  });
  const texts = firsts.map((g) => (g ? `${g.label}, ${percent(g.probability)}` : "–"));
  const [mine, theirs] = firsts.map((guess) => guess?.place);
  const both = mine !== undefined && theirs !== undefined;
  const agree = both ? (mine === theirs ? "yes" : "no") : "–";
  return [...texts, agree].map((text) => make("td", text));
}

export function clearTable(): void {
  rows.clear();
  page.rows.replaceChildren();
}
