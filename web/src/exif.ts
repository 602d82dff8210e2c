/** EXIF's orientation, by the rules of Python's data/exif.py, whatever the browser's are. */

const LETTERS = bytesOf("Exif\0\0");
const ORIENTATION = 0x0112;
const MOST_ENTRIES = 256;
const WIDTHS: Readonly<Record<number, number>> = { 3: 2, 4: 4 }; // SHORT and LONG
// a JPEG's segment that says the orientation in a way that every browser reads
const SEGMENT = [
  ...[0xff, 0xe1, 0, 34, ...LETTERS, ...bytesOf("MM\0*\0\0\0\x08")],
  ...[0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0],
];
const VALUE = 29; // the orientation's place in it

type Bytes = Uint8Array<ArrayBuffer>;

interface Block {
  readonly begin: number; // of the segment or chunk that holds it
  readonly end: number;
  readonly tiff: number;
}

/** A file without its EXIF block; turn: the orientation that is left to apply. */
export interface Bare {
  readonly parts: Bytes[];
  readonly turn: number;
}

/** Takes the EXIF block out of a file, or puts one into a JPEG that browsers agree on. */
export function bare(data: Bytes): Bare {
  const block = blockIn(data);
  if (!block) return { parts: [data], turn: 1 };
  const turn = orientationAt(data, block.tiff);
  const [before, after] = [data.subarray(2, block.begin), data.subarray(block.end)];
  const start = data.subarray(0, 2);
  if (data[0] === 0x89) return { parts: [start, before, after], turn };
  if (data[0] === 0xff) {
    const segment = Uint8Array.from(SEGMENT).fill(turn, VALUE, VALUE + 1);
    return { parts: [start, segment, before, after], turn: 1 };
  }
  const renamed = data.slice(); // a chunk that went would change the sizes before it
  renamed.set(bytesOf("none"), block.begin);
  return { parts: [renamed], turn };
}

function blockIn(data: Bytes): Block | null {
  if (data[0] === 0xff) return walkJpeg(data).exif;
  return data[0] === 0x89 ? blockInPng(data) : blockInWebp(data);
}

/** A JPEG's EXIF block, and where its first scan begins; its length if nowhere. */
export function walkJpeg(data: Bytes): { exif: Block | null; scan: number } {
  let exif: Block | null = null;
  let at = 2;
  while (data[at] === 0xff) {
    const marker = data[at + 1] ?? 0;
    if ([0x00, 0xd9, 0xda].includes(marker)) break;
    if (marker === 0xff) at += 1; // a fill byte
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else {
      const end = at + 2 + integer(data, at + 2, 2);
      const found = marker === 0xe1 && has(data, at + 4, LETTERS);
      if (found) exif ??= { begin: at, end, tiff: at + 4 };
      at = end;
    }
  }
  return { exif, scan: Math.min(at, data.length) };
}

function blockInPng(data: Bytes): Block | null {
  for (let at = 8; at < data.length; ) {
    const end = at + 12 + integer(data, at, 4);
    if (has(data, at + 4, bytesOf("eXIf"))) return { begin: at, end, tiff: at + 8 };
    if (has(data, at + 4, bytesOf("IEND"))) return null;
    at = end;
  }
  return null;
}

function blockInWebp(data: Bytes): Block | null {
  if (!has(data, 0, bytesOf("RIFF"))) return null;
  for (let at = 12; at < data.length; ) {
    const size = integer(data, at + 4, 4, true);
    const end = at + 8 + size + (size % 2);
    if (has(data, at, bytesOf("EXIF"))) return { begin: at, end, tiff: at + 8 };
    at = end;
  }
  return null;
}

/** The orientation in the first directory of an EXIF block; 1 if it has none. */
function orientationAt(data: Bytes, begin: number): number {
  const tiff = begin + (has(data, begin, LETTERS) ? LETTERS.length : 0);
  const little = has(data, tiff, bytesOf("II"));
  const read = (at: number, count: number) => integer(data, at, count, little);
  const offset = read(tiff + 4, 4);
  const known = (little || has(data, tiff, bytesOf("MM"))) && read(tiff + 2, 2) === 42;
  if (!known || !offset) return 1;
  const count = Math.min(read(tiff + offset, 2), MOST_ENTRIES);
  for (let i = 0; i < count; i++) {
    const entry = tiff + offset + 2 + 12 * i;
    if (read(entry, 2) !== ORIENTATION) continue;
    const width = WIDTHS[read(entry + 2, 2)];
    const value = width ? read(entry + 8, width) : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

function integer(data: Bytes, at: number, count: number, little = false): number {
  const digits = Array.from({ length: count }, (_, i) => data[at + i] ?? 0);
  if (little) digits.reverse();
  return digits.reduce((sum, digit) => sum * 256 + digit, 0);
}

function has(data: Bytes, at: number, wanted: readonly number[]): boolean {
  return wanted.every((byte, i) => data[at + i] === byte);
}

function bytesOf(text: string): number[] {
  return Array.from(text, (letter) => letter.charCodeAt(0));
}
