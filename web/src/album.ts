/** The photos that were given, and what the files say of each. */

import type { Engine } from "./engine";
import { decode } from "./photo";
import type { Answer, Format } from "./protocol";
import { sentence } from "./trouble";

export interface Entry {
  readonly name: string;
  readonly file: Blob;
  answers: Partial<Record<Format, Answer>>;
  error: string | null;
}

export class Album {
  readonly entries: Entry[] = [];
  private wanted = 0; // of the last run; an older one stops when it sees another

  constructor(
    private readonly engine: Engine,
    private readonly changed: (entry: Entry, done: number, total: number) => void,
  ) {}

  add(files: readonly Blob[]): Entry[] {
    const added = files.map((file, i) => ({
      name: file instanceof File ? file.name : `pasted ${this.entries.length + i + 1}`,
      file,
      answers: {},
      error: null,
    }));
    this.entries.push(...added);
    return added;
  }

  clear(): void {
    this.entries.length = 0;
  }

  stop(): void {
    this.wanted++;
  }

  /** Has `format` answer every photo that it has not; true unless it was stopped. */
  async run(format: Format): Promise<boolean> {
    const mine = ++this.wanted;
    const open = this.entries.filter((e) => !e.error && !e.answers[format]);
    for (const [done, entry] of open.entries()) {
      await this.answer(entry, format);
      if (this.wanted !== mine) return false;
      this.changed(entry, done + 1, open.length);
    }
    return true;
  }

  private async answer(entry: Entry, format: Format): Promise<void> {
    try {
      const { bitmap, jpeg } = await decode(entry.file, entry.name);
      const answer = await this.engine.classify(format, bitmap, jpeg);
      // maps are large: they are made again for the photo that is looked at
      entry.answers[format] = { ...answer, maps: null };
    } catch (error) {
      entry.error = sentence(error);
    }
  }
}
