import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const RUNTIME = join(import.meta.dirname, "node_modules/@litertjs/core");

/** The builds of LiteRT.js, of which a browser loads one, as files of the page. */
function runtime(): Plugin {
  return {
    name: "litert",
    apply: "build",
    generateBundle() {
      const folder = join(RUNTIME, "wasm");
      for (const name of readdirSync(folder)) {
        const source = readFileSync(join(folder, name));
        this.emitFile({ type: "asset", fileName: `litert/${name}`, source });
      }
      const { version, license } = JSON.parse(
        readFileSync(join(RUNTIME, "package.json"), "utf8"),
      );
      const source = JSON.stringify({ "@litertjs/core": version, license });
      this.emitFile({ type: "asset", fileName: "litert/version.json", source });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [runtime()],
  worker: { format: "iife" },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: {
        entryFileNames: (chunk) =>
          chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js",
      },
    },
  },
});
