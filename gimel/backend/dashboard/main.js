// The address says which view; the view's answer is asked for, kept, drawn, and asked for again.

const PERIOD = 15000;
const PERIOD_IN_TROUBLE = 5000;
const DEFAULTS = { namespace: "alephbet", experiment: "", goal: "", find: "", sort: "age", show: "current" };

const app = {
  view: null,
  answers: new Map(),
  gone: new Set(),
  trouble: null, // what is wrong with the backend
  locked: null, // why the key is asked for
  timer: 0,
  request: null,
};
const byId = (id) => document.getElementById(id);

function readView() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const fields = Object.entries(DEFAULTS).map(([name, usual]) => [name, fragment.get(name) || usual]);
  const view = Object.fromEntries(fields);
  if (!Object.hasOwn(SHOWN, view.show)) view.show = DEFAULTS.show;
  if (!Object.hasOwn(ORDERS, orderOf(view))) view.sort = DEFAULTS.sort;
  return view;
}

/** The address of the present view with changes. What is as usual is left out. */
function link(changes) {
  const isSaid = ([name, value]) => name === "namespace" || value !== DEFAULTS[name];
  return `#${new URLSearchParams(Object.entries({ ...app.view, ...changes }).filter(isSaid))}`;
}

const isOne = (view) => view.experiment !== "";
const placeOf = ({ namespace, experiment }) => JSON.stringify([namespace, experiment]);
const fieldsOf = ({ namespace, experiment }) => (experiment ? { namespace, experiment } : { namespace });

/** The last answer for the view: its data, and when it came. */
function answerFor(view) {
  const own = app.answers.get(placeOf(view));
  const all = isOne(view) && app.answers.get(placeOf({ ...view, experiment: "" }));
  const found = all && all.data.find((each) => each.experiment === view.experiment);
  return own ?? (found && { data: found, at: all.at });
}

function route() {
  takeKey();
  const before = app.view;
  app.view = readView();
  const moved = before && placeOf(before) !== placeOf(app.view);
  if (!before || moved) refresh();
  draw();
  if (moved) {
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
    const path = isOne(view) ? "experiment" : "experiments";
    keep(view, JSON.parse(await ask("GET", path, fieldsOf(view), { signal: request.signal })));
  } catch (error) {
    if (request.signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    refused(view, error);
  }
  if (app.request !== request) return;
  draw();
  schedule();
}

function keep(view, data) {
  app.answers.set(placeOf(view), { data, at: Date.now() });
  app.gone.delete(placeOf(view));
  app.trouble = app.locked = null;
}

function refused(view, refusal) {
  const isGone = refusal.status === 404 && isOne(view);
  app.locked = refusal.asksKey ? (sessionStorage.getItem(KEY) ? "wrong" : "missing") : null;
  app.trouble = isGone || refusal.asksKey ? null : refusal.message;
  if (isGone) app.gone.add(placeOf(view));
  if (isGone) app.answers.delete(placeOf(view));
  if (refusal.asksKey) app.answers.clear();
}

function schedule() {
  clearTimeout(app.timer);
  if (!document.hidden && !app.locked) app.timer = setTimeout(refresh, app.trouble ? PERIOD_IN_TROUBLE : PERIOD);
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
  const place = placeOf(app.view);
  if (app.gone.has(place)) return h("div", { "data-key": `gone ${place}` }, missing(app.view));
  if (!answer) return h("div", { "data-key": place }, skeleton(app.view));
  const drawn = isOne(app.view) ? experimentView(answer.data, app.view) : overview(answer.data, app.view);
  return h("div", { "data-key": place, class: isOne(app.view) ? "one" : "all" }, drawn);
}

function drawFreshness(answer) {
  const time = answer && clock.format(answer.at);
  const off = app.locked ? "Locked" : app.trouble ? "Not updated" : null;
  const text = off ?? (answer ? span("", span("long", "Updated "), time) : "Loading");
  patch(byId("live"), h("p", { class: `live ${off ? "off" : ""}`, id: "live" },
    h("span", { class: "dot", "aria-hidden": "true" }), text));
  const old = answer ? ` These figures are of ${time}, ${age(answer.at)}.` : "";
  const trouble = app.trouble ? `${app.trouble}${old} Trying again every few seconds.` : "";
  if (byId("trouble").textContent !== trouble) byId("trouble").textContent = trouble;
}

function unlockForm() {
  return h("form", { class: "card unlock", id: "unlock", novalidate: true },
    h("h1", { tabindex: -1 }, "This backend asks for its read key"),
    h("p", { class: "soft" }, h("code", {}, "gimel dashboard"),
      " opens this page with the key. It is kept until this tab is closed."),
    h("label", { class: "field" }, h("span", {}, "Read key"),
      h("input", {
        type: "password", id: "key", autocomplete: "off", spellcheck: "false",
        "aria-describedby": "unlock-error",
      })),
    h("p", { class: "error", id: "unlock-error", role: "alert" },
      app.locked === "wrong" && "That key is not the right one."),
    h("button", { class: "button main", type: "submit" }, "Unlock"));
}

let toastTimer = 0;

function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (byId("toast").textContent = ""), 5000);
}

const shown = () => answerFor(app.view)?.data;

/** Change settings of the experiment in view, and show what became of it. Throws Refusal. */
async function change(body) {
  const view = app.view;
  if (Object.keys(body).length) {
    // What is under way would tell of before.
    app.request?.abort();
    try {
      keep(view, JSON.parse(await ask("POST", "settings", fieldsOf(view), { body })));
    } finally {
      schedule();
    }
  }
  draw();
  toast("Saved.");
}

/** The same for a control in the view, which has no dialog to show an error in. */
async function changeAtOnce(body) {
  try {
    await change(body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    toast(error.message);
  }
}

async function forget() {
  const view = app.view;
  await ask("DELETE", "delete", fieldsOf(view));
  app.answers.clear();
  location.hash = link({ experiment: "", goal: "" });
  toast("Deleted.");
}

function copySnippet() {
  const source = byId("snippet");
  getSelection().selectAllChildren(source);
  const done = () => toast("Copied.");
  const failed = () => toast("Selected: copy it with the keyboard.");
  if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, failed);
  else failed();
}

const ACTIONS = {
  skip: () => byId("view").focus(),
  close: () => dialog().close(),
  copy: copySnippet,
  lock: () => {
    sessionStorage.removeItem(KEY);
    app.answers.clear();
    refresh();
    draw();
  },
  csv: () => save(shown(), "csv"),
  json: () => save(shown(), "json"),
  stop: () => askToStop(shown(), change),
  resume: () => changeAtOnce({ state: "running" }),
  archive: () => changeAtOnce({ state: "archived" }),
  settings: () => openSettings(shown(), change),
  delete: () => {
    dialog().close();
    askToDelete(shown(), forget);
  },
};

/** Show another view in the present one's place in the history. */
function replaceView(address) {
  history.replaceState(null, "", address);
  route();
}

const FIELDS = {
  namespace: (field) => (location.hash = link({ ...DEFAULTS, namespace: field.value })),
  baseline: async (field) => {
    await changeAtOnce({ baseline: field.value });
    field.value = shown().baseline;
  },
  find: (field) => replaceView(link({ find: field.value })),
};

const THEME = "gimel theme";

function setTheme(theme) {
  localStorage.setItem(THEME, theme);
  document.documentElement.dataset.theme = theme;
}

function listen() {
  addEventListener("hashchange", route);
  // Its form has served; the one that may have taken its place has not.
  dialog().addEventListener("close", ({ target }) => target.open || target.replaceChildren());
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(app.timer) : refresh()));
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action], a[data-replace]");
    if (!target) return;
    if (target.dataset.action) return ACTIONS[target.dataset.action]();
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    replaceView(target.getAttribute("href"));
  });
  document.addEventListener("change", ({ target }) => FIELDS[target.dataset.change]?.(target));
  document.addEventListener("input", ({ target }) => FIELDS[target.dataset.input]?.(target));
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "unlock") return;
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("key").value.trim());
    refresh();
  });
  document.addEventListener("keydown", (event) => {
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
route();
