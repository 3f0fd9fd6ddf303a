// The control flow: read the view from the address, request its data, draw it, and repeat.

const REFRESH_MS = 15000;
const RETRY_MS = 5000;
const PAGE_SIZE = 100;
// Pages of the overview that load without a click. More rows would make each redraw slow.
const PAGES_AT_ONCE = 5;
const DEFAULTS = { namespace: "alephbet", experiment: "", goal: "", find: "", sort: "age", show: "current" };

const app = {
  view: null,
  answers: new Map(),
  pages: PAGES_AT_ONCE, // of the overview, at most
  missing: new Set(), // experiments that the backend does not have
  trouble: null, // the last error of the backend
  locked: null, // why the page asks for the key: missing or wrong
  timer: 0,
  request: null,
};
const byId = (id) => document.getElementById(id);

function readView() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const fields = Object.entries(DEFAULTS).map(([name, usual]) => [name, fragment.get(name) || usual]);
  const view = Object.fromEntries(fields);
  if (!Object.hasOwn(FILTERS, view.show)) view.show = DEFAULTS.show;
  if (!Object.hasOwn(ORDERS, orderOf(view))) view.sort = DEFAULTS.sort;
  return view;
}

/** Return the address of the current view with changes. Default values are left out. */
function link(changes) {
  const isNeeded = ([name, value]) => name === "namespace" || value !== DEFAULTS[name];
  return `#${new URLSearchParams(Object.entries({ ...app.view, ...changes }).filter(isNeeded))}`;
}

const isExperimentView = (view) => view.experiment !== "";
const viewKey = ({ namespace, experiment }) => JSON.stringify([namespace, experiment]);
const queryOf = ({ namespace, experiment }) => (experiment ? { namespace, experiment } : { namespace });

/** Return the last answer for the view: its data, and when it arrived. */
const answerFor = (view) => app.answers.get(viewKey(view));

function showView() {
  takeKey();
  const before = app.view;
  app.view = readView();
  const isOtherView = before && viewKey(before) !== viewKey(app.view);
  if (before?.namespace !== app.view.namespace) app.pages = PAGES_AT_ONCE;
  if (isOtherView) dialog().close();
  if (!before || isOtherView) refresh();
  draw();
  if (isOtherView) {
    scrollTo(0, 0);
    document.querySelector("h1")?.focus({ preventScroll: true });
  }
}

async function refresh() {
  clearTimeout(app.timer);
  app.request?.abort();
  const request = (app.request = new AbortController());
  const view = app.view;
  try {
    await (isExperimentView(view) ? loadExperiment : loadOverview)(view, request.signal);
  } catch (error) {
    if (request.signal.aborted) return;
    if (!(error instanceof BackendError)) throw error;
    storeError(view, error);
  }
  if (app.request !== request) return;
  draw();
  schedule();
}

async function loadExperiment(view, signal) {
  storeAnswer(view, JSON.parse(await ask("GET", "experiment", queryOf(view), { signal })));
}

/** Load the overview page by page. Draw each page, unless more than that is on the screen already. */
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
    draw();
  }
}

function storeAnswer(view, data) {
  app.answers.set(viewKey(view), { data, at: Date.now() });
  app.missing.delete(viewKey(view));
  app.trouble = app.locked = null;
}

function storeError(view, error) {
  const isMissing = error.status === 404 && isExperimentView(view);
  app.locked = error.needsKey ? (sessionStorage.getItem(KEY) ? "wrong" : "missing") : null;
  app.trouble = isMissing || error.needsKey ? null : error.message;
  if (isMissing) app.missing.add(viewKey(view));
  if (isMissing) app.answers.delete(viewKey(view));
  if (error.needsKey) app.answers.clear();
}

function schedule() {
  clearTimeout(app.timer);
  if (!document.hidden && !app.locked) app.timer = setTimeout(refresh, app.trouble ? RETRY_MS : REFRESH_MS);
}

function draw() {
  const answer = answerFor(app.view);
  byId("home").setAttribute("href", link({ ...DEFAULTS, namespace: app.view.namespace }));
  byId("lock").hidden = !sessionStorage.getItem(KEY) || app.locked !== null;
  const busy = !answer && !app.locked && "true";
  patch(byId("view"), h("main", { id: "view", tabindex: -1, "aria-busy": busy }, content(answer)));
  document.title = `${app.view.experiment || "Experiments"} · Gimel`;
  drawFreshness(answer);
}

function content(answer) {
  if (app.locked) return h("div", { "data-key": "lock" }, unlockForm());
  const key = viewKey(app.view);
  if (app.missing.has(key)) return h("div", { "data-key": `missing ${key}` }, notFoundView(app.view));
  if (!answer) return h("div", { "data-key": key }, loadingView(app.view));
  const isOne = isExperimentView(app.view);
  const elements = (isOne ? experimentView : overview)(answer.data, app.view);
  return h("div", { "data-key": key, class: isOne ? "one" : "all" }, elements);
}

function drawFreshness(answer) {
  const time = answer && clock.format(answer.at);
  const off = app.locked ? "Locked" : app.trouble ? "Not updated" : null;
  const text = off ?? (answer ? span("", span("long", "Updated "), time) : "Loading");
  patch(byId("live"), h("p", { class: `live ${off ? "off" : ""}`, id: "live" },
    h("span", { class: "dot", "aria-hidden": "true" }), text));
  const old = answer ? ` These figures are from ${time}, ${age(answer.at)}.` : "";
  const trouble = app.trouble ? `${app.trouble}${old} Trying again every few seconds.` : "";
  if (byId("trouble").textContent !== trouble) byId("trouble").textContent = trouble;
}

function unlockForm() {
  return h("form", { class: "card unlock", id: "unlock", novalidate: true },
    h("h1", { tabindex: -1 }, "Enter the key of this backend"),
    h("p", { class: "soft" }, h("code", {}, "gimel dashboard"),
      " opens this page with the key. The key stays in this tab until you close it."),
    h("label", { class: "field" }, h("span", {}, "Key"),
      h("input", {
        type: "password", id: "key", autocomplete: "off", spellcheck: "false",
        "aria-describedby": "unlock-error",
      })),
    h("p", { class: "error", id: "unlock-error", role: "alert" },
      app.locked === "wrong" && "This key is wrong."),
    h("button", { class: "button main", type: "submit" }, "Unlock"));
}

let toastTimer = 0;

function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (byId("toast").textContent = ""), 5000);
}

const currentExperiment = () => answerFor(app.view)?.data;

/** Change settings of the experiment in view, and show the result. Throws BackendError. */
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

/** Change settings from a control outside a dialog. A toast shows the error. */
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

const isTaken = (query) => ask("GET", "experiment", query).then(() => true, (error) => {
  if (error.status !== 404) throw error;
  return false;
});

/** Declare a new experiment. It must not take the name of another. Throws BackendError. */
async function declareExperiment(namespace, name, definition) {
  const view = { namespace, experiment: name };
  if (await isTaken(view)) {
    throw new BackendError(409, "Experiment is taken: there is an experiment with this name.", "experiment");
  }
  try {
    storeAnswer(view, JSON.parse(await ask("PUT", "experiment", view, { body: definition })));
  } catch (error) {
    if (!error.needsKey) throw error;
    throw new BackendError(403, "This key may read, but not create experiments. Use a key with the scope owner.");
  }
  refresh();
}

function openNewExperiment() {
  const { namespace } = app.view;
  openCreate(async (name, definition, form) => {
    await declareExperiment(namespace, name, definition);
    if (!form.isConnected) return toast("Created.");
    showSnippet(eventsUrl(), namespace, name, definition,
      () => (location.hash = link({ ...DEFAULTS, namespace, experiment: name })));
  });
}

function copySnippet(button) {
  const box = button.closest(".snippet");
  const source = box.querySelector("pre");
  const report = (text) => (box.querySelector("[role=status]").textContent = text);
  getSelection().selectAllChildren(source);
  const done = () => report("Copied.");
  const failed = () => report("Selected. Copy it with the keyboard.");
  if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, failed);
  else failed();
}

const ACTIONS = {
  skip: () => byId("view").focus(),
  close: () => dialog().close(),
  copy: copySnippet,
  create: openNewExperiment,
  lock: () => {
    sessionStorage.removeItem(KEY);
    app.answers.clear();
    refresh();
    draw();
  },
  more: () => {
    app.pages += PAGES_AT_ONCE;
    refresh();
    draw();
  },
  csv: () => downloadFile(currentExperiment(), "csv"),
  json: () => downloadFile(currentExperiment(), "json"),
  stop: () => confirmStop(currentExperiment(), change),
  resume: () => changeWithToast({ state: "running" }),
  archive: () => changeWithToast({ state: "archived" }),
  settings: () => openSettings(currentExperiment(), change),
  delete: () => {
    dialog().close();
    confirmDelete(currentExperiment(), deleteExperiment);
  },
};

/** Show another view without a new entry in the history. */
function replaceView(address) {
  history.replaceState(null, "", address);
  showView();
}

const FIELD_HANDLERS = {
  namespace: (field) => (location.hash = link({ ...DEFAULTS, namespace: field.value })),
  baseline: async (field) => {
    await changeWithToast({ baseline: field.value });
    field.value = currentExperiment().baseline;
  },
  find: (field) => replaceView(link({ find: field.value })),
};

const THEME = "gimel theme";

function setTheme(theme) {
  localStorage.setItem(THEME, theme);
  document.documentElement.dataset.theme = theme;
}

function listen() {
  addEventListener("hashchange", showView);
  // Clear the dialog when it closes, unless it was opened again with another form.
  dialog().addEventListener("close", ({ target }) => target.open || target.replaceChildren());
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(app.timer) : refresh()));
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action], a[data-replace]");
    if (!target) return;
    if (target.dataset.action) return ACTIONS[target.dataset.action](target);
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    replaceView(target.getAttribute("href"));
  });
  document.addEventListener("change", ({ target }) => FIELD_HANDLERS[target.dataset.change]?.(target));
  document.addEventListener("input", ({ target }) => FIELD_HANDLERS[target.dataset.input]?.(target));
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "unlock") return;
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("key").value.trim());
    refresh();
  });
  // Escape hides a tooltip until the pointer or the focus comes back.
  const tips = document.documentElement.dataset;
  for (const kind of ["pointerout", "focusout"]) document.addEventListener(kind, () => delete tips.tips);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tips.tips = "off";
    if (event.key !== "/" || event.target.closest("input, select, textarea, dialog") || !byId("find")) return;
    event.preventDefault();
    byId("find").focus();
  });
  byId("theme").addEventListener("change", ({ target }) => setTheme(target.value));
}

const theme = localStorage.getItem(THEME) ?? "system";
document.documentElement.dataset.theme = theme;
document.querySelector(`#theme [value="${CSS.escape(theme)}"]`)?.click();
listen();
showView();
