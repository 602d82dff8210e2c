/** Keeps the page on the device, for when the network is off, and installs it. */

import { page } from "./elements";

const PATIENCE = 4000; // milliseconds; without a service worker the page works too

/** Resolves when the service worker sees all that the page fetches, or cannot. */
export async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register("./sw.js");
    const { installing, waiting } = registration;
    const first = installing ?? waiting;
    if (navigator.serviceWorker.controller) await takeUpdate(registration);
    else if (first) await atMost(PATIENCE, settled(first));
  } catch (error) {
    console.info("the page is not kept for later:", error);
  }
}

/** Reloads if the folder on the network is newer than what is kept. */
async function takeUpdate(registration: ServiceWorkerRegistration): Promise<void> {
  // offline there is no update, and the page begins from what is kept
  await atMost(PATIENCE, registration.update().catch(() => undefined));
  const newer = registration.installing ?? registration.waiting;
  if (newer && (await settled(newer)) === "activated") location.reload();
}

/** The state that a service worker comes to: activated, or redundant if it fails. */
function settled(worker: ServiceWorker): Promise<ServiceWorkerState> {
  return new Promise((resolve) => {
    const look = () => {
      if (["activated", "redundant"].includes(worker.state)) resolve(worker.state);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

function atMost(milliseconds: number, what: Promise<unknown>): Promise<unknown> {
  return Promise.race([what, new Promise((done) => setTimeout(done, milliseconds))]);
}

interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

/** Shows the button that installs the page as an app, where the browser offers it. */
export function offerInstallation(): void {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    page.install.hidden = false;
    page.install.onclick = () => {
      page.install.hidden = true;
      void (event as InstallEvent).prompt();
    };
  });
}
