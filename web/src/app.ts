/** What happens when something is pressed, dropped or seen. */

import { Album, type Entry } from "./album";
import { measure } from "./benchmark";
import { answerText } from "./calibration";
import { Camera, type Frame } from "./camera";
import { csv, save } from "./csv";
import { complain, page, say } from "./elements";
import { Engine } from "./engine";
import { decode, filesOf, pasted } from "./photo";
import type { Answer, Format, Model } from "./protocol";
import { guesses } from "./ranking";
import { selfTest } from "./selftest";
import { Steady } from "./steady";
import { clearTable, writeRow } from "./table";
import { sentence } from "./trouble";
import { showAnswer, showBars, showLatency, showPhoto, showSteady } from "./view";

const TOLD = 10; // photos between two words on how far it is

export class App {
  private readonly engine: Engine;
  private readonly album: Album;
  private readonly camera = new Camera(page.video);
  private steady = new Steady(); // of one camera and one file
  private format: Format = "int8";
  private shown: Entry | null = null;
  private place: number | null = null; // the class whose map is shown; none: the first

  constructor(
    private readonly model: Model,
    private readonly labels: readonly string[],
  ) {
    this.engine = new Engine(model, new URL(".", location.href).href);
    this.album = new Album(this.engine, (entry, done, total) => {
      this.write(entry);
      if (done % TOLD === 0) say(`${done} of ${total} photos.`);
    });
    page.mapsChoice.hidden = !model.files.int8.activation_map;
  }

  async start(): Promise<void> {
    await this.choose("int8");
    this.listen();
    say("Ready: choose, drop or paste photos, or start the camera.");
    document.documentElement.dataset["ready"] = "";
    this.take([...(page.files.files ?? [])]); // chosen while the files were on their way
    // through the service worker, which keeps it
    if (this.model.ahead) await fetch(this.model.files.float32.file).catch(() => null);
  }

  private listen(): void {
    page.files.onchange = () => this.take([...(page.files.files ?? [])]);
    this.listenToDrops();
    document.onpaste = ({ clipboardData }) => this.take(filesOf(clipboardData));
    this.offerPaste();
    page.paste.onclick = () => this.try(async () => this.take(await pasted()));
    page.camera.onclick = () => this.tryCamera(() => this.toggleCamera());
    page.turn.onclick = () => this.tryCamera(() => this.turnCamera());
    page.formats.onchange = ({ target }) =>
      this.try(() => this.change((target as HTMLInputElement).value as Format));
    page.maps.onchange = () => this.try(() => this.show());
    page.csv.onclick = () => this.save();
    page.stop.onclick = () => this.stop();
    page.clear.onclick = () => this.clear();
    page.benchmark.onclick = () => this.try(() => this.measure());
    page.selftest.onclick = () => this.try(() => this.test());
  }

  private save(): void {
    const { calibration } = this.model;
    save(csv(this.album.entries, this.labels, calibration), "photos.csv");
  }

  private offerPaste(): void {
    page.paste.hidden = !navigator.clipboard?.read;
  }

  private listenToDrops(): void {
    document.ondragover = (event) => {
      event.preventDefault();
      page.drop.classList.add("over");
    };
    document.ondragleave = () => page.drop.classList.remove("over");
    document.ondrop = (event) => {
      event.preventDefault();
      page.drop.classList.remove("over");
      this.take(filesOf(event.dataTransfer));
    };
  }

  /** Does it, and tells in one sentence if it cannot be done. */
  private async try(what: () => Promise<void>): Promise<void> {
    complain(null);
    try {
      await what();
    } catch (error) {
      complain(sentence(error));
    }
  }

  /** Opens the file of `format` and has it answer from now on. */
  private async choose(format: Format): Promise<void> {
    if (format !== "int8") say(`Opening ${format}.`);
    const { runtime } = await this.engine.open(format);
    this.format = format;
    this.steady = new Steady();
    page.runtime.textContent = `${format} computes on ${runtime}, on this device.`;
  }

  private async change(format: Format): Promise<void> {
    const before = this.format;
    try {
      await this.choose(format);
    } catch (error) {
      page.formats.querySelector<HTMLInputElement>(`[value=${before}]`)!.checked = true;
      say("");
      throw error;
    }
    say(`${format} is ready.`);
    await this.classify();
  }

  private take(files: readonly Blob[]): void {
    page.files.value = "";
    if (!files.length) return;
    this.stopCamera();
    const [first] = this.album.add(files);
    this.shown = first!;
    this.place = null;
    void this.try(() => this.classify());
  }

  /** Has the present file answer all photos, and shows one of them. */
  private async classify(): Promise<void> {
    const { entries } = this.album;
    if (!entries.length) return;
    page.many.hidden = entries.length < 2;
    page.stop.hidden = entries.length < 2;
    if (!(await this.album.run(this.format))) return; // it was stopped, or begun anew
    page.stop.hidden = true;
    await this.show();
    page.result.scrollIntoView({ block: "nearest" });
    say(this.done());
  }

  /** What the status says when all photos are answered. */
  private done(): string {
    const [entry, ...others] = this.album.entries;
    if (others.length) return `Done: ${others.length + 1} photos.`;
    const answer = entry?.answers[this.format];
    const said = answer && this.inWords(answer);
    return said ? `Done: ${said}.` : "Done.";
  }

  /** The prediction set, or that it is none of these; "" if it is not calibrated. */
  private inWords(
    answer: Pick<Answer, "probabilities">,
    first: number | null = null,
  ): string {
    return answerText(this.model.calibration, answer, this.labels, first);
  }

  private write(entry: Entry): void {
    writeRow(entry, this.labels, this.model.calibration, (chosen) => {
      this.stopCamera();
      this.shown = chosen;
      this.place = null;
      void this.try(() => this.show());
      page.result.scrollIntoView({ block: "nearest" });
    });
    if (entry === this.shown && this.album.entries.length > 1) {
      void this.try(() => this.show());
    }
  }

  /** Shows the chosen photo with its answers. Throws the photo's own trouble. */
  private async show(): Promise<void> {
    const entry = this.shown;
    if (!entry) return;
    if (entry.error) return complain(entry.error);
    const photo = await decode(entry.file, entry.name);
    const copy = await createImageBitmap(photo.bitmap);
    const answer = await this.engine.classify(this.format, copy, photo.jpeg);
    if (this.shown !== entry) return photo.bitmap.close();
    page.result.hidden = false;
    page.result.classList.remove("live");
    page.title.textContent = entry.name;
    const found = guesses(answer, this.labels);
    const mapped = Boolean(answer.maps) && page.maps.checked;
    const place = mapped ? (this.place ?? found[0]?.place ?? null) : null;
    const said = this.inWords(answer);
    showAnswer(said);
    showBars(found, place, mapped ? (chosen) => this.showMap(chosen) : null);
    showPhoto(photo.bitmap, answer, this.labels, place, said);
    showLatency(entry.answers, this.labels);
    photo.bitmap.close();
  }

  private showMap(place: number): void {
    this.place = place;
    void this.try(() => this.show());
  }

  private stop(): void {
    this.album.stop();
    page.stop.hidden = true;
    say("Stopped.");
  }

  private clear(): void {
    this.stop();
    this.album.clear();
    clearTable();
    this.shown = null;
    page.result.hidden = page.many.hidden = true;
    say("Cleared.");
  }

  /** As `try`, and nobody can ask for the camera again while it is asked for. */
  private async tryCamera(what: () => Promise<void>): Promise<void> {
    page.camera.disabled = page.turn.disabled = true;
    await this.try(what);
    page.camera.disabled = page.turn.disabled = false;
  }

  private async toggleCamera(): Promise<void> {
    if (this.camera.running) return this.stopCamera();
    await this.camera.start();
    this.shown = null;
    this.watch();
  }

  private async turnCamera(): Promise<void> {
    try {
      await this.camera.turn();
    } catch (error) {
      this.leaveCamera();
      throw error;
    }
    this.watch();
  }

  private watch(): void {
    page.result.hidden = page.turn.hidden = false;
    page.paste.hidden = true;
    page.result.classList.add("live");
    page.result.scrollIntoView({ block: "nearest" });
    page.video.classList.toggle("mirrored", this.camera.mirrored);
    page.camera.textContent = "Stop camera";
    page.title.textContent = "Camera";
    this.steady = new Steady();
    this.camera
      .watch((frame) => this.answerFrame(frame))
      .catch((error: unknown) => {
        this.stopCamera();
        complain(sentence(error));
      });
  }

  private async answerFrame({ bitmap, milliseconds, rate }: Frame): Promise<void> {
    const { steady } = this;
    const answer = await this.engine.classify(this.format, bitmap, false);
    // of a camera or a file that has been left meanwhile
    if (!this.camera.running || this.steady !== steady) return;
    const steadied = steady.add(answer.probabilities, milliseconds);
    showAnswer(this.inWords(steadied, steadied.place));
    showSteady(steadied, answer, this.labels);
    const time = answer.milliseconds.toFixed(1);
    page.latency.textContent = `${answer.format}: ${time} ms · ${rate.toFixed(1)} frames/s`;
  }

  private stopCamera(): void {
    if (!this.camera.running) return;
    this.camera.stop();
    this.leaveCamera();
  }

  private leaveCamera(): void {
    page.camera.textContent = "Camera";
    page.turn.hidden = page.result.hidden = true;
    this.offerPaste();
    page.result.classList.remove("live");
  }

  private async measure(): Promise<void> {
    this.stopCamera();
    page.benchmark.disabled = true;
    try {
      await measure(this.engine);
    } catch (error) {
      say(""); // or "Measuring" would stay beside what went wrong
      throw error;
    } finally {
      page.benchmark.disabled = false;
    }
  }

  private async test(): Promise<void> {
    const { format } = this;
    page.selftest.disabled = true;
    page.tested.textContent = `Testing ${format}.`;
    try {
      const text = await selfTest(this.engine, this.model, format, this.labels);
      page.tested.textContent = `${format}: ${text}.`;
    } catch (error) {
      page.tested.textContent = "";
      throw error;
    } finally {
      page.selftest.disabled = false;
    }
  }
}
