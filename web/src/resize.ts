/** An antialiased resize: means that triangles weigh, as tf.image.resize gives them. */

/** The pixels first, first + 1, ... that one pixel of the result is a mean of. */
export interface Mean {
  readonly first: number;
  readonly weights: Float32Array;
}

/** One Mean for each of `after` pixels in a line of `before` pixels. */
export function triangles(before: number, after: number): Mean[] {
  const step = before / after;
  const reach = Math.max(step, 1); // of the triangle, to either side
  return Array.from({ length: after }, (_, x) => mean((x + 0.5) * step, reach, before));
}

function mean(centre: number, reach: number, before: number): Mean {
  const first = Math.max(0, Math.ceil(centre - reach - 0.5));
  const last = Math.min(before - 1, Math.floor(centre + reach - 0.5));
  const raw = Array.from({ length: last - first + 1 }, (_, i) =>
    Math.max(0, 1 - Math.abs(first + i + 0.5 - centre) / reach),
  );
  const sum = raw.reduce((a, b) => a + b, 0);
  return { first, weights: Float32Array.from(raw, (weight) => weight / sum) };
}

/** Shrinks a row of RGB pixels; writes means.length * 3 values from `at` on. */
export function resizeRow(
  row: ArrayLike<number>,
  means: readonly Mean[],
  result: Float32Array,
  at: number,
): void {
  means.forEach(({ first, weights }, x) => {
    for (let channel = 0; channel < 3; channel++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) {
        sum += weights[i]! * row[(first + i) * 3 + channel]!;
      }
      result[at + x * 3 + channel] = sum;
    }
  });
}

/** Shrinks [rows, length] to [means.length, length] along the rows. */
export function resizeColumns(
  rows: Float32Array,
  length: number,
  means: readonly Mean[],
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(means.length * length);
  means.forEach(({ first, weights }, y) => {
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i]!;
      const from = (first + i) * length;
      for (let x = 0; x < length; x++) {
        result[y * length + x]! += weight * rows[from + x]!;
      }
    }
  });
  return result;
}
