/** The camera's label without flicker: answers averaged over time, reluctant to change.
 *
 * It imports nothing and asks no clock: tests and benchmarks/camera.py run it in Node.
 */

/** When the label that is shown gives way to another one. */
export interface SteadySettings {
  /** Milliseconds after which a frame counts 1/e of what it did. */
  readonly timeConstant: number;
  /** By how much the other label's average must lead, in parts of 1; ... */
  readonly margin: number;
  /** ... or for how many milliseconds each frame must have said that label. */
  readonly hold: number;
}

export const SETTINGS: SteadySettings = {
  timeConstant: 250, // averages about 8 of 15 frames a second; sure changes take 0.2 s
  margin: 0.15, // sure answers in turns, 15 a second, make their averages differ by 0.13
  hold: 350, // an unsure network changes, too, and within half a second
};

export interface Steadied {
  /** The class to show. */
  readonly place: number;
  /** The average of all frames so far, newer ones counting more. */
  readonly probabilities: Float32Array;
  /** The likeliest class of this frame alone. */
  readonly raw: number;
}

/** One scene's answers; another camera or another file begins with a new one. */
export class Steady {
  private averages: Float32Array | null = null;
  private place = 0;
  private raw = -1;
  private since = 0; // when the frames began to say `raw`
  private last = 0; // when the last frame was

  constructor(private readonly settings: SteadySettings = SETTINGS) {}

  /** Adds a frame that was taken at `milliseconds`, of any clock that goes forward. */
  add(probabilities: Float32Array, milliseconds: number): Steadied {
    const averages = this.mix(probabilities, milliseconds);
    const raw = likeliest(probabilities);
    if (raw !== this.raw) this.since = milliseconds;
    if (this.raw < 0) this.place = raw;
    this.raw = raw;
    if (this.leads(averages) || milliseconds - this.since >= this.settings.hold) {
      this.place = raw;
    }
    return { place: this.place, probabilities: averages, raw };
  }

  /** Weights by time: a slow phone's frame counts for the longer time it stands for. */
  private mix(probabilities: Float32Array, milliseconds: number): Float32Array {
    const old = this.averages ?? probabilities;
    const kept = Math.exp((this.last - milliseconds) / this.settings.timeConstant);
    this.last = milliseconds;
    this.averages = old.map((mean, i) => kept * mean + (1 - kept) * probabilities[i]!);
    return this.averages;
  }

  /** Whether this frame and the average agree on another label, by the margin. */
  private leads(averages: Float32Array): boolean {
    const lead = averages[this.raw]! - averages[this.place]!;
    return this.raw === likeliest(averages) && lead >= this.settings.margin;
  }
}

/** The place of the largest number; of equal ones the first. */
function likeliest(numbers: Float32Array): number {
  return numbers.indexOf(Math.max(...numbers));
}
