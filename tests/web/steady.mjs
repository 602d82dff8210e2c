// What the page's own web/src/steady.ts makes of frames: node steady.mjs, JSON in and out.
// In: {web, milliseconds, probabilities, settings: [those that differ, ...]}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { web, milliseconds, probabilities, settings } = JSON.parse(readFileSync(0, "utf8"));
const ts = createRequire(`${web}/`)("typescript");
const compilerOptions = { module: "ESNext", target: "ES2022" };
const source = readFileSync(join(web, "src/steady.ts"), "utf8");
const { outputText } = ts.transpileModule(source, { compilerOptions });
const { SETTINGS, Steady } = await import(
  `data:text/javascript,${encodeURIComponent(outputText)}`
);

function shown(changed) {
  const used = { ...SETTINGS, ...changed };
  const steady = new Steady(used);
  const found = probabilities.map((frame, i) =>
    steady.add(Float32Array.from(frame), milliseconds[i]),
  );
  return {
    settings: used,
    places: found.map(({ place }) => place),
    raw: found.map(({ raw }) => raw),
    averages: found.map((one) => [...one.probabilities]),
  };
}

process.stdout.write(JSON.stringify(settings.map(shown)));
