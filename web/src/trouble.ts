/** What goes wrong, in one sentence each, for whoever holds the phone. */

/** An error whose message is meant for people. */
export class Trouble extends Error {}

export const TOO_OLD =
  "This browser is too old for the page: update it, or use a current Chrome, Edge, " +
  "Firefox or Safari (16.4 or later).";
export const NO_MEMORY =
  "This device has too little memory for that; close other pages or try a smaller photo.";

export function unreadable(name: string): Trouble {
  return new Trouble(`${name} is broken or no photo that this browser reads.`);
}

export function unreachable(file: string): Trouble {
  return new Trouble(
    `${file} cannot be fetched: go online once, and it will be kept on this device.`,
  );
}

export function clipboardTrouble(error: unknown): Trouble {
  const refused = error instanceof DOMException && error.name === "NotAllowedError";
  return new Trouble(
    refused
      ? "The clipboard was refused: allow it, or press Ctrl+V."
      : "There is no photo on the clipboard.",
  );
}

const OF_A_CAMERA: Readonly<Record<string, string>> = {
  NotAllowedError:
    "The camera was refused: allow it in the browser's settings for this page, or " +
    "choose a photo.",
  NotFoundError: "No camera was found: choose a photo.",
  NotReadableError: "The camera is in use by another program: close that, or choose a photo.",
};

export function cameraTrouble(error: unknown): Trouble {
  const name = error instanceof DOMException ? error.name : "";
  return new Trouble(OF_A_CAMERA[name] ?? "The camera does not start: choose a photo.");
}

/** The sentence for whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof Trouble) return error.message;
  const text = error instanceof Error ? `${error.name} ${error.message}` : String(error);
  if (/memory|allocation|RangeError|OOM/i.test(text)) return NO_MEMORY;
  return `Something went wrong: ${error instanceof Error ? error.message : text}`;
}

/** Whether this browser has what the page cannot do without. */
export function capable(): boolean {
  const simd = Uint8Array.of(
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
    ...[10, 8, 1, 6, 0, 65, 0, 253, 15, 11], // a function that splats a zero
  );
  return (
    typeof WebAssembly === "object" &&
    WebAssembly.validate(simd) &&
    typeof OffscreenCanvas === "function" &&
    typeof createImageBitmap === "function"
  );
}
