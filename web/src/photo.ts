/** Files become upright pixels, untouched by colour profiles, as Python decodes them. */

import { clipboardTrouble, unreadable } from "./trouble";

export interface Photo {
  readonly bitmap: ImageBitmap;
  readonly jpeg: boolean;
}

const OPTIONS: ImageBitmapOptions = {
  imageOrientation: "from-image",
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
};

/** The photo in `file`. Rejects with a Trouble where there is none. */
export async function decode(file: Blob, name: string): Promise<Photo> {
  try {
    const data = new Uint8Array(await file.arrayBuffer());
    const jpeg = data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff;
    if (jpeg && !isWhole(data)) throw unreadable(name);
    return { bitmap: await createImageBitmap(file, OPTIONS), jpeg };
  } catch (error) {
    throw error instanceof RangeError ? error : unreadable(name);
  }
}

/** Whether a JPEG has its end; browsers show half a photo as if it were one. */
function isWhole(data: Uint8Array): boolean {
  // after the first scan begins, its end is the only FF D9 that there can be
  for (let at = scanStart(data); (at = data.indexOf(0xff, at)) >= 0; at++) {
    if (data[at + 1] === 0xd9) return true;
  }
  return false;
}

/** Where a JPEG's first scan begins, behind its segments; its length if nowhere. */
function scanStart(data: Uint8Array): number {
  let at = 2;
  while (at + 3 < data.length && data[at] === 0xff && data[at + 1] !== 0xda) {
    const fill = data[at + 1] === 0xff;
    at += fill ? 1 : 2 + data[at + 2]! * 256 + data[at + 3]!;
  }
  return Math.min(at, data.length);
}

/** The photos in what was dropped or pasted. */
export function filesOf(transfer: DataTransfer | null): File[] {
  return [...(transfer?.files ?? [])];
}

/** The photos on the clipboard. Rejects with a Trouble where there is none to be had. */
export async function pasted(): Promise<Blob[]> {
  const found: Blob[] = [];
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((kind) => kind.startsWith("image/"));
      if (type) found.push(await item.getType(type));
    }
  } catch (error) {
    throw clipboardTrouble(error);
  }
  if (!found.length) throw clipboardTrouble(null);
  return found;
}
