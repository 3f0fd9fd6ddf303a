// All experiments of a namespace: one row each, searched, sorted and filtered by the address.

const VERDICTS = {
  winner: "Winner",
  loser: "Loser",
  no_difference: "No difference",
  keep_collecting: "Keep collecting",
  do_not_trust: "Do not trust",
};
const STATES = { running: "Running", stopped: "Stopped", archived: "Archived" };
const SHOWN = {
  current: { label: "Current", has: (state) => state !== "archived" },
  running: { label: "Running", has: (state) => state === "running" },
  stopped: { label: "Stopped", has: (state) => state === "stopped" },
  archived: { label: "Archived", has: (state) => state === "archived" },
};
// What needs a decision comes first.
const URGENCY = ["do_not_trust", "winner", "loser", "no_difference", "keep_collecting", undefined];

const born = (experiment) => (experiment.created_at ? Date.parse(experiment.created_at) : 0);
const primary = (experiment) => experiment.goals.find((goal) => goal.goal === experiment.primary_goal);
const byBest = (a, b) => (b.chance_to_be_best ?? -1) - (a.chance_to_be_best ?? -1);
const bestOf = (rows) => [...(rows ?? [])].sort(byBest)[0];
const leaderOf = (goal) => bestOf(goal?.results.filter((row) => row.chance_to_be_best != null));

/** The row whose interval stands for the goal: the best that is not the baseline. */
const challenger = (goal) => bestOf(goal?.results.filter((row) => row.lift_interval_always_valid));

const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const ORDERS = {
  name: (a, b) => byName(a.experiment, b.experiment),
  age: (a, b) => born(b) - born(a),
  visitors: (a, b) => visitors(b) - visitors(a),
  lift: (a, b) => (challenger(primary(b))?.lift ?? -Infinity) - (challenger(primary(a))?.lift ?? -Infinity),
  verdict: (a, b) => URGENCY.indexOf(primary(a)?.verdict.state) - URGENCY.indexOf(primary(b)?.verdict.state),
};

const FALLING = new Set(["visitors", "lift"]);
const orderOf = (view) => view.sort.replace("-", "");

/** Which way the view's order runs. */
const falls = (view) => FALLING.has(orderOf(view)) !== view.sort.startsWith("-");

/** Those that the view asks for, in its order. A leading minus turns the order round. */
function chosen(experiments, view) {
  const wanted = view.find.toLocaleLowerCase();
  const order = ORDERS[orderOf(view)];
  const found = experiments
    .filter((experiment) => SHOWN[view.show].has(experiment.state))
    .filter((experiment) => experiment.experiment.toLocaleLowerCase().includes(wanted))
    .sort((a, b) => order(a, b) || byName(a.experiment, b.experiment));
  return view.sort.startsWith("-") ? found.reverse() : found;
}

function overview([{ meta }, ...experiments], view) {
  return [
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, "Experiments"), namespaceSwitch(meta.namespaces, view)),
    experiments.length ? [toolbar(experiments, view), list(experiments, view)] : empty(view),
  ];
}

function namespaceSwitch(namespaces, view) {
  const all = [...new Set([...namespaces, view.namespace])].sort(byName);
  return h("label", { class: "field" }, h("span", {}, "Namespace"),
    h("select", { "data-change": "namespace" }, options(all, view.namespace)));
}

function toolbar(experiments, view) {
  const tabs = Object.entries(SHOWN).map(([show, { label, has }]) =>
    h("a", { href: link({ show }), "data-replace": true, "aria-current": show === view.show && "true" },
      label, " ", span("soft", count(experiments.filter(({ state }) => has(state)).length))));
  return h("div", { class: "toolbar" },
    h("label", { class: "search" }, icon("search"), span("unseen", "Search experiments"),
      h("input", {
        type: "search", id: "find", value: view.find, placeholder: "Search", "data-input": "find",
        autocomplete: "off", spellcheck: "false", "aria-keyshortcuts": "/",
      }),
      h("kbd", { "aria-hidden": "true" }, "/")),
    h("nav", { class: "tabs", "aria-label": "State" }, tabs));
}

function list(experiments, view) {
  const rows = chosen(experiments, view);
  const best = experiments.map((experiment) => challenger(primary(experiment))).filter(Boolean);
  // Three of four fit: one young experiment must not press all the others flat.
  const scale = scaleOf(best.map((row) => row.lift_interval_always_valid), 0.75);
  const nothing = "No experiment is like that. Search for something else, or choose another state.";
  return h("div", { class: "card" },
    h("table", { class: "list", role: "table", "aria-label": "Experiments" },
      h("thead", { role: "rowgroup" }, listHead(scale, view)),
      h("tbody", { role: "rowgroup" }, rows.map((experiment) => listRow(experiment, scale)))),
    h("p", { class: rows.length ? "unseen" : "nothing", role: "status" },
      rows.length ? plural(rows.length, "experiment") : nothing));
}

const listHead = (scale, view) =>
  h("tr", { role: "row" },
    sortable("name", view, [sorter("name", "Experiment", view), sorter("age", "Age", view)]),
    sortable("visitors", view, sorter("visitors", "Visitors", view), "number"),
    sortable("lift", view, sorter("lift", "Leading variant", view)),
    drawnHead(scale),
    sortable("verdict", view, sorter("verdict", "Verdict", view)));

const drawnHead = (scale) =>
  h("th", { role: "columnheader", scope: "col", class: "wide" }, span("unseen", "Lift interval"), axis(scale));

function sortable(order, view, sorters, kind) {
  const mine = orderOf(view) === order || (order === "name" && orderOf(view) === "age");
  const sort = mine && (falls(view) ? "descending" : "ascending");
  return h("th", { role: "columnheader", scope: "col", class: kind, "aria-sort": sort }, sorters);
}

/** A link that sorts, or turns the order that is there. */
function sorter(order, label, view) {
  const isCurrent = orderOf(view) === order;
  const attributes = {
    class: "sorter",
    href: link({ sort: isCurrent && view.sort === order ? `-${order}` : order }),
    "data-replace": true,
    "aria-current": isCurrent && "true",
    "aria-label": `Sort by ${label.toLowerCase()}`,
  };
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" }, isCurrent && (falls(view) ? "↓" : "↑"));
  return h("a", attributes, label, arrow);
}

function listRow(experiment, scale) {
  const goal = primary(experiment);
  const best = challenger(goal);
  const cell = (kind, label, ...children) => h("td", { role: "cell", class: kind, "data-label": label }, children);
  return h("tr", { role: "row", "data-key": experiment.experiment },
    h("th", { role: "rowheader", scope: "row" },
      h("a", { class: "go", href: link({ experiment: experiment.experiment }) }, bdi(experiment.experiment)),
      span("sub", stateOf(experiment), " · ", started(experiment))),
    cell("number", "Visitors", count(visitors(experiment))),
    cell(null, "Leading", leading(goal, experiment.baseline)),
    cell("drawn", null, plot(best?.lift_interval_always_valid, best?.lift, scale)),
    cell("judged", null, goal ? judged(goal) : span("soft", "No goal reached yet")));
}

/** A name whose whole length the experiment's own view shows. */
const short = (name) => bdi(name, { class: "short", title: name });

const judged = (goal) => [verdictChip(goal.verdict.state), span("sub", short(goal.goal))];

function leading(goal, baseline) {
  const leader = leaderOf(goal);
  if (!leader) return span("soft", DASH);
  const facts = leader.label === baseline ? "the baseline" : lift(leader.lift);
  return [span("name", short(leader.label)), span("sub", facts)];
}

const verdictChip = (state) => span(`chip ${state}`, icon(state), VERDICTS[state]);

const stateOf = ({ state }) => span(`state ${state}`, icon(state), STATES[state]);

function started({ created_at: moment }) {
  if (!moment) return "from gimel 1.x";
  const date = new Date(moment);
  return h("time", { datetime: moment, title: dateOnly.format(date) }, age(date));
}

function empty(view) {
  const events = new URL("e", location.href);
  const text = snippet(`${events.origin}${events.pathname}`.replace(/\/e$/, ""), view.namespace);
  return h("section", { class: "card empty" },
    h("h2", {}, "No experiment here yet"),
    h("p", {}, "Paste this into your page, name your experiment, its variants and a goal, and open the page: "
      + "the experiment appears here with its first visitor. No reload needed."),
    h("div", { class: "snippet" },
      h("button", { class: "button", "data-action": "copy" }, "Copy"),
      h("pre", { id: "snippet", tabindex: 0, "aria-label": "The snippet" }, text)),
    h("p", { class: "soft" }, "Events go to ", h("code", {}, events.origin + events.pathname),
      ", in the namespace ", bdi(view.namespace), "."));
}

/** What stands where figures will stand; what is known already stays in its place. */
function skeleton(view) {
  const name = isOne(view) ? h("div", { class: "title" }, h("h1", { tabindex: -1 }, bdi(view.experiment))) : null;
  return [
    isOne(view) && crumbs(view),
    h("div", { class: "head" }, name ?? h("h1", { tabindex: -1 }, "Experiments")),
    h("div", { class: "card bones", role: "status", "data-key": "bones" }, span("unseen", "Loading"),
      Array.from({ length: 6 }, () => span("bone"))),
  ];
}
