// @ts-check
// The controls of the page, and its start.

import { ask, BackendError, KEY, shareKey, takeKey } from "./api.mjs";
import { openCreate, showSnippet } from "./create.mjs";
import { confirmUndecide, openDecide } from "./decide.mjs";
import { dialog } from "./dialog.mjs";
import { listenToCharts } from "./chart.mjs";
import { byId, find } from "./dom.mjs";
import { downloadFile } from "./download.mjs";
import { chooseLine } from "./history.mjs";
import { draw, refresh, schedule, storeAnswer } from "./refresh.mjs";
import { confirmDelete, confirmStop, openDeletePart, openSettings } from "./settings.mjs";
import { listenToTips } from "./tips.mjs";
import {
  app, currentExperiment, DEFAULTS, isOn, link, PAGES_AT_ONCE, queryOf, readView, viewKey,
} from "./view.mjs";
/** @import { Definition, Field } from "./types.d.ts" */

// Scroll positions by the number that each entry of the history carries. A reload keeps them.
const TOPS = "gimel tops";
const tops = new Map(JSON.parse(sessionStorage.getItem(TOPS) ?? "[]"));
let position = 0;

function showView() {
  takeKey();
  const before = app.view;
  app.view = readView();
  const isOtherView = before && viewKey(before) !== viewKey(app.view);
  tops.set(position, scrollY);
  position = history.state?.position ?? Math.random();
  const top = tops.get(position) ?? 0;
  history.replaceState({ position }, "");
  if (before?.namespace !== app.view.namespace) app.pages = PAGES_AT_ONCE;
  if (isOtherView) dialog().close();
  if (!before || isOtherView) {
    app.top = top;
    refresh();
  }
  if (isOtherView) scrollTo(0, 0);
  draw();
  if (isOtherView) focusTitle();
}

const focusTitle = () => find(document, "h1")?.focus({ preventScroll: true });

let toastTimer = 0;

/** @param {string} text */
function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (byId("toast").textContent = ""), 5000);
}

/**
 * Change settings of the experiment in view, and show the result. Throws BackendError.
 * @param {Record<string, any>} body
 */
async function change(body) {
  const view = app.view;
  if (Object.keys(body).length) {
    // A pending answer would show the old settings.
    app.request?.abort();
    try {
      storeAnswer(view, JSON.parse(await ask("POST", "settings", queryOf(view), { body })));
    } finally {
      schedule();
    }
  }
  draw();
  toast("Saved.");
}

/**
 * Change settings from a control outside a dialog. A toast shows the error.
 * @param {Record<string, any>} body
 */
async function changeWithToast(body) {
  try {
    await change(body);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    toast(error.message);
  }
}

async function deleteExperiment() {
  const view = app.view;
  await ask("DELETE", "delete", queryOf(view));
  app.answers.clear();
  location.hash = link({ experiment: "", goal: "" });
  toast("Deleted.");
}

/** @param {{ goal: string } | { variant: string }} part */
async function deletePart(part) {
  app.request?.abort();
  const { note } = JSON.parse(await ask("DELETE", "delete", { ...queryOf(app.view), ...part }));
  refresh();
  toast(`Deleted. ${note}`);
}

/** @param {Record<string, string>} query */
const isTaken = (query) => ask("GET", "experiment", query).then(() => true, (error) => {
  if (error.status !== 404) throw error;
  return false;
});

/**
 * Declare a new experiment. It must not take the name of another. Throws BackendError.
 * @param {string} namespace
 * @param {string} name
 * @param {Definition} definition
 */
async function declareExperiment(namespace, name, definition) {
  const view = { namespace, experiment: name };
  if (await isTaken(view)) {
    throw new BackendError(409, "Experiment is taken: there is an experiment with this name.", "experiment");
  }
  storeAnswer(view, JSON.parse(await ask("PUT", "experiment", view, { body: definition })));
  refresh();
}

function openNewExperiment() {
  const { namespace } = app.view;
  openCreate(async (name, definition, form) => {
    await declareExperiment(namespace, name, definition);
    if (!form.isConnected) return toast("Created.");
    showSnippet(namespace, name, definition,
      () => (location.hash = link({ ...DEFAULTS, namespace, experiment: name })));
  });
}

/** @param {HTMLElement} button */
function copySnippet(button) {
  const box = /** @type {Element} */ (button.closest(".snippet"));
  const source = find(box, "pre");
  /** @param {string} text */
  const report = (text) => (find(box, "[role=status]").textContent = text);
  getSelection()?.selectAllChildren(source);
  const done = () => report("Copied.");
  const failed = () => report("Selected. Copy it with the keyboard.");
  if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, failed);
  else failed();
}

/** @type {Record<string, (button: HTMLElement) => any>} */
const ACTIONS = {
  skip: () => byId("view").focus(),
  close: () => dialog().close(),
  copy: copySnippet,
  create: openNewExperiment,
  lock: () => forgetKey(),
  more: () => {
    app.pages += PAGES_AT_ONCE;
    refresh();
    draw();
  },
  csv: () => downloadFile(currentExperiment(), "csv"),
  json: () => downloadFile(currentExperiment(), "json"),
  stop: () => confirmStop(currentExperiment(), change),
  decide: () => openDecide(currentExperiment(), change),
  undecide: () => confirmUndecide(currentExperiment(), change),
  // What is decided does not run.
  resume: () => changeWithToast({ state: currentExperiment().decision ? "stopped" : "running" }),
  archive: () => changeWithToast({ state: "archived" }),
  settings: () => openSettings(currentExperiment(), change),
  part: () => openDeletePart(currentExperiment(), deletePart),
  delete: () => {
    dialog().close();
    confirmDelete(currentExperiment(), deleteExperiment);
  },
};

/**
 * Show another view without a new entry in the history.
 * @param {string} address
 */
function replaceView(address) {
  history.replaceState(history.state, "", address);
  showView();
}

/** @type {Record<string, (field: Field) => any>} */
const FIELD_HANDLERS = {
  namespace: (field) => (location.hash = link({ ...DEFAULTS, namespace: field.value })),
  baseline: async (field) => {
    await changeWithToast({ baseline: field.value });
    field.value = currentExperiment().baseline;
  },
  line: (field) => {
    chooseLine(app.view, field.value, field.checked);
    draw();
  },
  find: (field) => replaceView(link({ find: field.value })),
  option: (field) => {
    localStorage.setItem(`gimel ${field.name}`, field.checked ? "on" : "off");
    refresh();
    draw();
  },
};

const THEME = "gimel theme";

/** @param {string} theme */
function setTheme(theme) {
  localStorage.setItem(THEME, theme);
  document.documentElement.dataset.theme = theme;
}

/**
 * @param {Event} event
 * @returns {any} the element that it happened to
 */
const elementOf = (event) => event.target;

function listen() {
  addEventListener("hashchange", showView);
  // Clear the dialog when it closes, unless it was opened again with another form.
  dialog().addEventListener("close", () => dialog().open || dialog().replaceChildren());
  document.addEventListener("visibilitychange", () => {
    clearTimeout(app.timer);
    if (!document.hidden && isOn("refresh")) refresh();
  });
  document.addEventListener("click", (event) => {
    const target = elementOf(event).closest("[data-action], a[data-replace]");
    if (!target) return;
    if (target.dataset.action) return ACTIONS[target.dataset.action](target);
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    replaceView(target.getAttribute("href"));
  });
  for (const kind of ["change", "input"]) {
    document.addEventListener(kind, (event) => FIELD_HANDLERS[elementOf(event).dataset[kind]]?.(elementOf(event)));
  }
  document.addEventListener("submit", (event) => {
    if (elementOf(event).id !== "unlock") return;
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("key").value.trim());
    refresh().then(() => app.locked || focusTitle());
  });
  listenToCharts();
  listenToTips();
  // The matrix is asked for when it is opened.
  document.addEventListener("toggle", (event) => elementOf(event).dataset.key === "matrix" && draw(), true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || !isOn("shortcut") || elementOf(event).closest("input, select, textarea, dialog") || !byId("find")) return;
    event.preventDefault();
    byId("find").focus();
  });
  byId("theme").addEventListener("change", (/** @type {Event} */ event) => setTheme(elementOf(event).value));
}

const theme = localStorage.getItem(THEME) ?? "system";
document.documentElement.dataset.theme = theme;
find(document, `#theme [value="${CSS.escape(theme)}"]`)?.click();
for (const field of document.querySelectorAll("[data-change=option]")) {
  /** @type {any} */ (field).checked = isOn(/** @type {any} */ (field).name);
}
// The browser would scroll before the data are drawn.
history.scrollRestoration = "manual";
addEventListener("pagehide", () => {
  tops.set(position, scrollY);
  sessionStorage.setItem(TOPS, JSON.stringify([...tops]));
});
listen();
showView();
const forgetKey = shareKey(() => app.answers.size > 0, () => {
  if (!sessionStorage.getItem(KEY)) app.answers.clear();
  refresh();
  draw();
});
