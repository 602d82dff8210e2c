/** A photo becomes the network's input; read in strips, for phones limit a canvas. */

import { centreWindow, ratioOf, type Window } from "./crop";
import type { Part, Preprocessing } from "./protocol";
import { resizeColumns, resizeRow, triangles } from "./resize";

const STRIP = 64; // rows, after a JPEG's division

export interface Input {
  /** [height, width, 3], RGB in 0..255. */
  readonly pixels: Float32Array<ArrayBuffer>;
  readonly part: Part;
}

/** The input from an upright photo; jpeg: it is first divided as libjpeg would. */
export function inputOf(
  bitmap: ImageBitmap,
  jpeg: boolean,
  p: Preprocessing,
): Input {
  const ratio = ratioOf(bitmap.height, bitmap.width, jpeg, p);
  const height = Math.ceil(bitmap.height / ratio);
  const width = Math.ceil(bitmap.width / ratio);
  const window = centreWindow(height, width, p);
  const rows = shrunkRows(bitmap, ratio, window, p.width);
  const pixels = resizeColumns(rows, p.width * 3, triangles(window.height, p.height));
  const part = {
    left: window.left / width,
    top: window.top / height,
    width: window.width / width,
    height: window.height / height,
  };
  return { pixels, part };
}

/** [window.height, width, 3]: the window's rows, each resized to `width` pixels. */
function shrunkRows(
  bitmap: ImageBitmap,
  ratio: number,
  window: Window,
  width: number,
): Float32Array {
  const means = triangles(window.width, width);
  const rows = new Float32Array(window.height * width * 3);
  for (let begin = 0; begin < window.height; begin += STRIP) {
    const count = Math.min(STRIP, window.height - begin);
    const strip = { ...window, top: window.top + begin, height: count };
    const pixels = divided(readStrip(bitmap, strip, ratio), strip, ratio);
    for (let y = 0; y < count; y++) {
      const row = pixels.subarray(y * window.width * 3, (y + 1) * window.width * 3);
      resizeRow(row, means, rows, (begin + y) * width * 3);
    }
  }
  return rows;
}

/** The pixels of `strip`, which counts in units of `ratio` pixels. */
function readStrip(bitmap: ImageBitmap, strip: Window, ratio: number): ImageData {
  const left = strip.left * ratio;
  const top = strip.top * ratio;
  const width = Math.min(strip.width * ratio, bitmap.width - left);
  const height = Math.min(strip.height * ratio, bitmap.height - top);
  const canvas = new OffscreenCanvas(width, height);
  // without alpha what is transparent turns black; reading often keeps it off the GPU
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (!context) throw new RangeError("no memory for a canvas");
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, left, top, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** RGB without alpha, each pixel the mean of ratio x ratio, in whole numbers. */
function divided(image: ImageData, strip: Window, ratio: number): Uint8Array {
  const result = new Uint8Array(strip.height * strip.width * 3);
  for (let y = 0; y < strip.height; y++) {
    for (let x = 0; x < strip.width; x++) {
      blockMean(image, x, y, ratio, result, (y * strip.width + x) * 3);
    }
  }
  return result;
}

function blockMean(
  image: ImageData,
  x: number,
  y: number,
  ratio: number,
  result: Uint8Array,
  at: number,
): void {
  const right = Math.min((x + 1) * ratio, image.width);
  const bottom = Math.min((y + 1) * ratio, image.height);
  const count = (right - x * ratio) * (bottom - y * ratio);
  for (let channel = 0; channel < 3; channel++) {
    let sum = 0;
    for (let row = y * ratio; row < bottom; row++) {
      for (let column = x * ratio; column < right; column++) {
        sum += image.data[(row * image.width + column) * 4 + channel]!;
      }
    }
    result[at + channel] = Math.round(sum / count);
  }
}
