/** Files become upright pixels, untouched by colour profiles, as Python decodes them. */

import { bare, walkJpeg } from "./exif";
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

// the canvas's matrix for each EXIF orientation from 2 on, of an image of w x h
const TURNS: readonly ((w: number, h: number) => number[])[] = [
  (w) => [-1, 0, 0, 1, w, 0],
  (w, h) => [-1, 0, 0, -1, w, h],
  (_, h) => [1, 0, 0, -1, 0, h],
  () => [0, 1, 1, 0, 0, 0],
  (_, h) => [0, 1, -1, 0, h, 0],
  (w, h) => [0, -1, -1, 0, h, w],
  (w) => [0, -1, 1, 0, 0, w],
];
const FIRST_TRANSPOSED = 5;

/** The photo in `file`. Rejects with a Trouble where there is none. */
export async function decode(file: Blob, name: string): Promise<Photo> {
  try {
    const data = new Uint8Array(await file.arrayBuffer());
    const jpeg = data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff;
    if (jpeg && !isWhole(data)) throw unreadable(name);
    const { parts, turn } = bare(data);
    const bitmap = await createImageBitmap(new Blob(parts, { type: file.type }), OPTIONS);
    return { bitmap: turned(bitmap, turn), jpeg };
  } catch (error) {
    throw error instanceof RangeError ? error : unreadable(name);
  }
}

/** `bitmap` as EXIF's orientation says it is upright. */
function turned(bitmap: ImageBitmap, orientation: number): ImageBitmap {
  const turn = TURNS[orientation - 2];
  if (!turn) return bitmap;
  const { width, height } = bitmap;
  const sides = orientation < FIRST_TRANSPOSED ? [width, height] : [height, width];
  const canvas = new OffscreenCanvas(sides[0]!, sides[1]!);
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new RangeError("no memory for a canvas");
  context.imageSmoothingEnabled = false;
  context.setTransform(new DOMMatrix(turn(width, height)));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.transferToImageBitmap();
}

/** Whether a JPEG has its end; browsers show half a photo as if it were one. */
function isWhole(data: Uint8Array<ArrayBuffer>): boolean {
  // after the first scan begins, its end is the only FF D9 that there can be
  for (let at = walkJpeg(data).scan; (at = data.indexOf(0xff, at)) >= 0; at++) {
    if (data[at + 1] === 0xd9) return true;
  }
  return false;
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
