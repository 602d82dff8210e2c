/**
 * The service worker: every file of the folder is kept once it was fetched.
 *
 * FOLDER, which export.py writes in front of this, has each file's SHA-256. A kept file
 * goes by its path and its hash, so that a new export replaces what it changed alone.
 */

export {}; // a module to TypeScript, whose names are its own

declare const self: ServiceWorkerGlobalScope;
declare const FOLDER: {
  /** Hashes by path, as in the attribute integrity. */
  readonly files: Readonly<Record<string, string>>;
  /** Paths of the page itself, without which nothing works. */
  readonly first: readonly string[];
};

const SCOPE = self.registration.scope;
const CACHE = `page ${SCOPE}`; // there may be other pages on the same host

function keyOf(path: string): string {
  return `${SCOPE}${path}?${FOLDER.files[path]}`;
}

async function fetched(path: string): Promise<Response> {
  const integrity = FOLDER.files[path]!;
  const response = await fetch(SCOPE + path, { integrity, cache: "no-cache" });
  if (!response.ok) throw new TypeError(`${path}: status ${response.status}`);
  // a host may redirect index.html to /, and no visit may be answered by a redirection
  const { body, headers } = response;
  return response.redirected ? new Response(body, { headers }) : response;
}

async function keep(path: string, response: Response): Promise<void> {
  await (await caches.open(CACHE)).put(keyOf(path), response);
}

async function kept(path: string): Promise<Response | undefined> {
  return (await caches.open(CACHE)).match(keyOf(path));
}

/** Fetches the page itself, and the new content of all that was kept before. */
async function install(): Promise<void> {
  const keys = await (await caches.open(CACHE)).keys();
  const before = keys.map(({ url }) => url.slice(SCOPE.length).split("?")[0]!);
  const wanted = new Set([...FOLDER.first, ...before].filter((p) => p in FOLDER.files));
  await Promise.all(
    [...wanted].map(async (path) => (await kept(path)) ?? keep(path, await fetched(path))),
  );
  await self.skipWaiting();
}

/** The file, kept or fetched; of a disk that is full it is fetched each time. */
async function answer(path: string): Promise<Response> {
  const found = await kept(path);
  if (found) return found;
  const response = await fetched(path);
  await keep(path, response.clone()).catch(() => undefined);
  return response;
}

async function removeOld(): Promise<void> {
  const cache = await caches.open(CACHE);
  const current = new Set(Object.keys(FOLDER.files).map(keyOf));
  const old = (await cache.keys()).filter(({ url }) => !current.has(url));
  await Promise.all(old.map((request) => cache.delete(request)));
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) =>
  event.waitUntil(removeOld().then(() => self.clients.claim())),
);
self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const whole = origin + pathname;
  const path = whole === SCOPE ? "index.html" : whole.slice(SCOPE.length);
  if (event.request.method !== "GET" || !(path in FOLDER.files)) return;
  event.respondWith(answer(path));
});
