/** The photo as it is shown: the part that was seen, and where the network looks. */

import type { Maps, Part } from "./protocol";

const MOST_SIDE = 640; // pixels of the picture on the page
const OPACITY = 0.55; // of the map over the photo
// from no evidence to the most: dark violet, red, orange, pale yellow
const COLORS = [
  [8, 4, 40],
  [96, 20, 110],
  [190, 60, 80],
  [248, 140, 20],
  [252, 250, 170],
] as const;

/** Draws the photo with all but `part` dimmed; gives the canvas its size. */
export function drawPhoto(canvas: HTMLCanvasElement, photo: ImageBitmap, part: Part): void {
  const scale = Math.min(1, MOST_SIDE / Math.max(photo.width, photo.height));
  canvas.width = Math.max(1, Math.round(photo.width * scale));
  canvas.height = Math.max(1, Math.round(photo.height * scale));
  // without alpha: black where the photo is transparent, as the network sees it
  const context = canvas.getContext("2d", { alpha: false })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  dimOutside(context, canvas, part);
}

function dimOutside(
  context: CanvasRenderingContext2D,
  { width, height }: HTMLCanvasElement,
  part: Part,
): void {
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(...scaled(part, width, height));
  context.fillStyle = "rgb(0 0 0 / 45%)";
  context.fill("evenodd");
}

/** Draws the map of the class at `place` over `part`; colours go from 0 to `most`. */
export function drawMap(
  canvas: HTMLCanvasElement,
  part: Part,
  maps: Maps,
  place: number,
  most: number,
): void {
  const context = canvas.getContext("2d")!;
  context.save();
  context.globalAlpha = OPACITY;
  context.imageSmoothingQuality = "high";
  const picture = mapPicture(maps, place, most);
  context.drawImage(picture, ...scaled(part, canvas.width, canvas.height));
  context.restore();
}

/** The largest value of any map of these classes: what the last colour stands for. */
export function mostEvidence(maps: Maps, places: readonly number[]): number {
  const classes = maps.values.length / (maps.rows * maps.columns);
  const values = maps.values.filter((_, i) => places.includes(i % classes));
  return values.reduce((a, b) => Math.max(a, b), Number.EPSILON);
}

function mapPicture(maps: Maps, place: number, most: number): HTMLCanvasElement {
  const { rows, columns, values } = maps;
  const classes = values.length / (rows * columns);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    image.data.set([...color(values[i * classes + place]! / most), 255], i * 4);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function color(value: number): number[] {
  const place = Math.min(1, Math.max(0, value)) * (COLORS.length - 1);
  const before = Math.min(Math.floor(place), COLORS.length - 2);
  const [from, to] = [COLORS[before]!, COLORS[before + 1]!];
  return from.map((x, i) => x + (to[i]! - x) * (place - before));
}

function scaled(
  part: Part,
  width: number,
  height: number,
): [number, number, number, number] {
  return [part.left * width, part.top * height, part.width * width, part.height * height];
}
