/** The page's side of the worker: orders as promises, and a new worker after a crash. */

import type { Answer, Format, Model, Opened, Order, Reply, Timing } from "./protocol";
import { unreachable } from "./trouble";

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
}

export class Engine {
  private worker: Worker | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;

  constructor(
    private readonly model: Model,
    private readonly folder: string,
  ) {}

  open(format: Format): Promise<Opened> {
    return this.ask({ kind: "open", format });
  }

  /** The answer to `bitmap`, which is gone afterwards. */
  classify(format: Format, bitmap: ImageBitmap, jpeg: boolean): Promise<Answer> {
    return this.ask({ kind: "classify", format, bitmap, jpeg }, [bitmap]);
  }

  benchmark(format: Format, runs: number): Promise<Timing> {
    return this.ask({ kind: "benchmark", format, runs });
  }

  private ask<T>(order: Order, moved: Transferable[] = []): Promise<T> {
    const worker = (this.worker ??= this.started());
    return this.post(worker, order, moved);
  }

  private post<T>(worker: Worker, order: Order, moved: Transferable[]): Promise<T> {
    const id = ++this.last;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, order }, moved);
    });
  }

  private started(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url));
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.settle(data);
    worker.onerror = (event) => this.restart(new Error(event.message || "out of memory"));
    const { model, folder } = this;
    this.post(worker, { kind: "start", model, folder }, []).catch(() => undefined);
    return worker;
  }

  private settle(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if (!("error" in reply)) return waiting?.resolve(reply.result as never);
    const [, file] = /^unreachable:(.*)/.exec(reply.error) ?? [];
    waiting?.reject(file ? unreachable(file) : new Error(reply.error));
    // a runtime that failed, or is not there, stays broken
    if (!file?.endsWith(".tflite")) this.restart(new Error(reply.error));
  }

  private restart(reason: Error): void {
    this.worker?.terminate();
    this.worker = null;
    this.waiting.forEach(({ reject }) => reject(reason));
    this.waiting.clear();
  }
}
