// @ts-check
// The control flow: request the data of the view, draw them, and repeat.

import { ask, BackendError, KEY } from "./api.mjs";
import { dialog } from "./dialog.mjs";
import { byId, h, patch, span } from "./dom.mjs";
import { experimentView } from "./experiment.mjs";
import { loadExtras } from "./extras.mjs";
import { age, clock } from "./format.mjs";
import { overview } from "./overview.mjs";
import { loadingView, notFoundView } from "./parts.mjs";
import { answerFor, app, DEFAULTS, isExperimentView, isOn, link, PAGE_SIZE, queryOf, viewKey } from "./view.mjs";
/** @import { Answer, View } from "./types.d.ts" */

const REFRESH_MS = 15000;
const RETRY_MS = 5000;

export async function refresh() {
  clearTimeout(app.timer);
  app.request?.abort();
  const request = new AbortController();
  app.request = request;
  const { view, locked } = app;
  try {
    await (isExperimentView(view) ? loadExperiment : loadOverview)(view, request.signal);
  } catch (error) {
    if (request.signal.aborted) return;
    if (!(error instanceof BackendError)) throw error;
    storeError(view, error);
  }
  if (app.request !== request) return;
  draw();
  if (app.locked && !locked) byId("key").focus();
  schedule();
}

/**
 * @param {View} view
 * @param {AbortSignal} signal
 */
async function loadExperiment(view, signal) {
  storeAnswer(view, JSON.parse(await ask("GET", "experiment", queryOf(view), { signal })));
}

/**
 * Load the overview page by page. Draw each page, unless more than that is on the screen already.
 * @param {View} view
 * @param {AbortSignal} signal
 */
async function loadOverview(view, signal) {
  const before = answerFor(view)?.data.slice(1).length ?? 0;
  const loaded = [];
  let isLast = false;
  for (let page = 1, position = {}; !isLast && !signal.aborted; page++) {
    const fields = { ...queryOf(view), view: "summary", limit: PAGE_SIZE, ...position };
    const [first, ...experiments] = JSON.parse(await ask("GET", "experiments", fields, { signal }));
    loaded.push(...experiments);
    position = { after: first.meta.next };
    isLast = first.meta.next === null || page >= app.pages;
    if (!isLast && loaded.length < before) continue;
    storeAnswer(view, [first, ...loaded]);
    if (!isLast) draw();
  }
}

/**
 * @param {Pick<View, "namespace" | "experiment">} view
 * @param {any} data
 */
export function storeAnswer(view, data) {
  app.answers.set(viewKey(view), { data, at: Date.now() });
  app.missing.delete(viewKey(view));
  app.trouble = app.locked = null;
}

/**
 * @param {View} view
 * @param {BackendError} error
 */
function storeError(view, error) {
  const isMissing = error.status === 404 && isExperimentView(view);
  app.locked = error.needsKey ? (sessionStorage.getItem(KEY) ? "wrong" : "missing") : null;
  app.trouble = isMissing || error.needsKey ? null : error.message;
  if (isMissing) app.missing.add(viewKey(view));
  if (isMissing) app.answers.delete(viewKey(view));
  if (!error.needsKey) return;
  // Without a key, the page shows no figures.
  app.answers.clear();
  dialog().close();
}

export function schedule() {
  clearTimeout(app.timer);
  if (!document.hidden && !app.locked && isOn("refresh")) app.timer = setTimeout(refresh, app.trouble ? RETRY_MS : REFRESH_MS);
}

export function draw() {
  const answer = answerFor(app.view);
  byId("home").setAttribute("href", link({ ...DEFAULTS, namespace: app.view.namespace }));
  byId("lock").hidden = !sessionStorage.getItem(KEY) || app.locked !== null;
  const busy = !answer && !app.locked && "true";
  patch(byId("view"), h("main", { id: "view", tabindex: -1, "aria-busy": busy }, content(answer)));
  document.title = `${app.view.experiment || "Experiments"} · Gimel`;
  drawFreshness(answer);
  if (answer && isExperimentView(app.view)) loadExtras(answer.data, app.view).then((isNew) => isNew && draw());
  if (!answer || !app.top) return;
  scrollTo(0, app.top);
  app.top = 0;
}

/** @param {Answer | undefined} answer */
function content(answer) {
  if (app.locked) return h("div", { "data-key": "lock" }, unlockForm());
  const key = viewKey(app.view);
  if (app.missing.has(key)) return h("div", { "data-key": `missing ${key}` }, notFoundView(app.view));
  if (!answer) return h("div", { "data-key": key }, loadingView(app.view));
  const isOne = isExperimentView(app.view);
  const elements = (isOne ? experimentView : overview)(answer.data, app.view);
  return h("div", { "data-key": key, class: isOne ? "one" : "all" }, elements);
}

/** @param {Answer | undefined} answer */
function drawFreshness(answer) {
  const time = answer && clock.format(answer.at);
  const off = app.locked ? "Locked" : app.trouble ? "Not updated" : null;
  const isPaused = !off && answer && !isOn("refresh");
  const text = off ?? (answer ? span("", isPaused ? "Paused " : span("long", "Updated "), time) : "Loading");
  patch(byId("live"), h("p", { class: `live ${off || isPaused ? "off" : ""}`, id: "live" },
    h("span", { class: "dot", "aria-hidden": "true" }), text));
  const old = answer ? ` These figures are from ${time}, ${age(answer.at)}.` : "";
  const next = isOn("refresh") ? " Trying again every few seconds." : "";
  const trouble = app.trouble ? `${app.trouble}${old}${next}` : "";
  if (byId("trouble").textContent !== trouble) byId("trouble").textContent = trouble;
}

function unlockForm() {
  return h("form", { class: "card unlock", id: "unlock", novalidate: true },
    h("h1", { tabindex: -1 }, "Enter the key of this backend"),
    h("p", { class: "soft" }, h("code", {}, "gimel dashboard"),
      " opens this page with the key. Other tabs of this page use it too, until you close the last one."),
    h("label", { class: "field" }, h("span", {}, "Key"),
      h("input", {
        type: "password", id: "key", autocomplete: "off", spellcheck: "false",
        "aria-describedby": "unlock-error",
      })),
    h("p", { class: "error", id: "unlock-error", role: "alert" },
      app.locked === "wrong" && "This key is wrong."),
    h("button", { class: "button main", type: "submit" }, "Unlock"));
}
