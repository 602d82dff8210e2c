/** The camera: frame after frame, as fast as they are answered. */

import { cameraTrouble, Trouble } from "./trouble";

const WINDOW = 20; // frames that a rate is the mean of

export interface Frame {
  readonly bitmap: ImageBitmap;
  /** When it was taken, of a clock that only goes forward. */
  readonly milliseconds: number;
  /** Frames in a second at present. */
  readonly rate: number;
}

export class Camera {
  private stream: MediaStream | null = null;
  private facing: "environment" | "user" = "environment";

  constructor(private readonly video: HTMLVideoElement) {}

  get running(): boolean {
    return this.stream !== null;
  }

  /** Whether the picture is of who holds the phone, and is shown like a mirror. */
  get mirrored(): boolean {
    return this.facing === "user";
  }

  /** Starts it. Rejects with a Trouble where that is refused. */
  async start(): Promise<void> {
    if (!navigator.mediaDevices) {
      throw new Trouble("A camera needs https or localhost: choose a photo.");
    }
    const video = { facingMode: this.facing, width: { ideal: 640 } };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      throw cameraTrouble(error);
    }
  }

  /** Goes from the camera at the back to the one in front, or back again. */
  async turn(): Promise<void> {
    this.stop();
    this.facing = this.mirrored ? "environment" : "user";
    await this.start();
  }

  stop(): void {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Calls `answer` with each frame, one at a time, until the camera stops. */
  async watch(answer: (frame: Frame) => Promise<void>): Promise<void> {
    const times: number[] = [];
    const { stream } = this;
    while (stream && this.stream === stream) {
      await nextFrame();
      if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      const bitmap = await createImageBitmap(this.video);
      const milliseconds = performance.now();
      times.push(milliseconds);
      if (times.length > WINDOW) times.shift();
      await answer({ bitmap, milliseconds, rate: rateOf(times) });
    }
  }
}

function nextFrame(): Promise<unknown> {
  return new Promise(requestAnimationFrame);
}

/** Frames in a second, of the times of the last ones; 0 before there are two. */
function rateOf(times: readonly number[]): number {
  const spent = times.at(-1)! - times[0]!;
  return spent > 0 ? ((times.length - 1) / spent) * 1000 : 0;
}
