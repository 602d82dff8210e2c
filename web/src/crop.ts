/** Which pixels of a photo are looked at, to the rounding of Python's Preprocessing. */

import type { Preprocessing } from "./protocol";

export interface Window {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

const single = Math.fround; // Python computes these in float32

/** The centre window of an image of this size: the input's aspect, crop_fraction. */
export function centreWindow(
  height: number,
  width: number,
  p: Preprocessing,
): Window {
  const least = Math.min(single(height / p.height), single(width / p.width));
  const scale = single(single(p.crop_fraction) * single(least));
  const tall = Math.max(1, roundHalfEven(single(p.height * scale)));
  const wide = Math.max(1, roundHalfEven(single(p.width * scale)));
  return {
    top: Math.floor((height - tall) / 2),
    left: Math.floor((width - wide) / 2),
    height: tall,
    width: wide,
  };
}

/** What a JPEG's sides are divided by before the crop; 1 for other photos. */
export function ratioOf(
  height: number,
  width: number,
  jpeg: boolean,
  p: Preprocessing,
): number {
  if (!jpeg) return 1;
  const shrink = single(Math.min(height, width) / single(p.least_side));
  const allowed = p.jpeg_ratios.filter((ratio) => ratio <= shrink);
  return Math.max(1, ...allowed);
}

/** To the nearest integer; halves go to the even one, as TensorFlow and NumPy do. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
