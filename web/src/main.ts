/** The page: what was given is classified, what was found is shown. */

import "./style.css";
import { complain, page } from "./elements";
import { keepOffline, offerInstallation } from "./offline";
import { App } from "./app";
import type { Model } from "./protocol";
import { capable, sentence, TOO_OLD, unreachable } from "./trouble";

async function read(path: string): Promise<Response> {
  const response = await fetch(path).catch(() => null);
  if (!response?.ok) throw unreachable(path);
  return response;
}

async function start(): Promise<void> {
  if (!capable()) return complain(TOO_OLD);
  await keepOffline();
  const model = (await (await read("model.json")).json()) as Model;
  const labels = (await (await read("labels.txt")).text()).replace(/\n$/, "").split("\n");
  document.title = page.name.textContent = model.name;
  page.description.textContent = model.description;
  await new App(model, labels).start();
}

offerInstallation();
start().catch((error: unknown) => complain(sentence(error)));
