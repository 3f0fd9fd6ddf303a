// The overview: one row for each experiment of a namespace. Search, order and filter are in the
// address.

const VERDICTS = {
  winner: "Winner",
  loser: "Loser",
  no_difference: "No difference",
  inconclusive: "Inconclusive",
  keep_collecting: "Keep collecting",
  no_verdict: "No verdict",
  do_not_trust: "Do not trust",
};
const STATES = { running: "Running", stopped: "Stopped", archived: "Archived" };
const FILTERS = {
  current: { label: "Current", has: (state) => state !== "archived" },
  running: { label: "Running", has: (state) => state === "running" },
  stopped: { label: "Stopped", has: (state) => state === "stopped" },
  archived: { label: "Archived", has: (state) => state === "archived" },
};
// Verdicts that need a decision come first.
const URGENCY = [
  "do_not_trust", "winner", "loser", "no_difference", "inconclusive", "no_verdict", "keep_collecting", undefined,
];

const createdAt = (experiment) => (experiment.created_at ? Date.parse(experiment.created_at) : 0);
const primaryGoal = (experiment) => experiment.goals.find((goal) => goal.goal === experiment.primary_goal);
const primaryGoals = (experiment) => experiment.goals.filter((goal) => goal.role === "primary");
const byChance = (a, b) => (b.chance_to_be_best ?? -1) - (a.chance_to_be_best ?? -1);
const bestOf = (rows) => [...(rows ?? [])].sort(byChance)[0];
const rowOf = (goal, label) => label != null && goal.results.find((row) => row.label === label);

/** Return the row that leads: the winner, or the best one. */
const leaderOf = (goal) => goal
  && (rowOf(goal, goal.verdict.winner) || bestOf(goal.results.filter((row) => row.chance_to_be_best != null)));

/** Return the row whose interval represents the goal: the verdict's, or the best except the baseline. */
function challenger(goal) {
  const drawn = goal?.results.filter((row) => row.lift_interval_always_valid);
  return drawn?.find((row) => row.label === goal.verdict.variant) ?? bestOf(drawn);
}

/** Return the state of a goal's verdict. Without samples of visitors, a repeated goal has none. */
const stateOfGoal = ({ kind, samples, verdict: { state } }) =>
  state === "keep_collecting" && kind !== "unique" && samples == null ? "no_verdict" : state;

const urgencyOf = (goal) => URGENCY.indexOf(goal && stateOfGoal(goal));

/** Return the primary goal that a row is about: the one whose verdict comes first. */
const decidingGoal = (experiment) =>
  [primaryGoal(experiment), ...primaryGoals(experiment)].sort((a, b) => urgencyOf(a) - urgencyOf(b))[0];

const bestLift = (experiment) => challenger(decidingGoal(experiment))?.lift ?? -Infinity;
const urgency = (experiment) => urgencyOf(decidingGoal(experiment));

const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const ORDERS = {
  name: (a, b) => byName(a.experiment, b.experiment),
  age: (a, b) => createdAt(b) - createdAt(a),
  visitors: (a, b) => visitors(b) - visitors(a),
  lift: (a, b) => bestLift(b) - bestLift(a),
  verdict: (a, b) => urgency(a) - urgency(b),
};

const DESCENDING_FIRST = new Set(["visitors", "lift"]);
const orderOf = (view) => view.sort.replace("-", "");

/** Return whether the order of the view is descending. */
const isDescending = (view) => DESCENDING_FIRST.has(orderOf(view)) !== view.sort.startsWith("-");

/** Return the experiments that the view shows, in its order. A leading minus reverses the order. */
function selectExperiments(experiments, view) {
  const text = view.find.toLocaleLowerCase();
  const order = ORDERS[orderOf(view)];
  const selected = experiments
    .filter((experiment) => FILTERS[view.show].has(experiment.state))
    .filter((experiment) => experiment.experiment.toLocaleLowerCase().includes(text))
    .sort((a, b) => order(a, b) || byName(a.experiment, b.experiment));
  return view.sort.startsWith("-") ? selected.reverse() : selected;
}

function overview([{ meta }, ...experiments], view) {
  const isEmpty = experiments.length === 0;
  return [
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, "Experiments"),
      meta.next !== null && loadedNote(experiments.length, meta.total),
      h("div", { class: "tools" }, namespaceSwitch(meta.namespaces, view), !isEmpty && createButton())),
    backlogNote(meta),
    isEmpty ? emptyView(view) : [toolbar(experiments, view), experimentTable(experiments, view)],
  ];
}

// SQS deletes a message that was set aside. From this many seconds before, that is urgent.
const URGENT = 3 * 86400;

/** Say what is not counted yet, and what to do. A backend without a queue says nothing of it. */
function backlogNote({ waiting, set_aside: aside, waiting_events: events }) {
  const messages = (number, one, many) => `${plural(number, "message")} with events ${number === 1 ? one : many}`;
  const notes = [];
  const left = aside?.seconds_left;
  if (waiting?.messages) {
    const since = waiting.seconds ? `, the oldest for ${duration(waiting.seconds)}` : "";
    notes.push([`${messages(waiting.messages, "waits", "wait")} to be counted${since}. `
      + "They count as soon as Redis takes them."
      + (events ? ` ${plural(events, "event")} of this experiment ${events === 1 ? "is" : "are"} among them.` : "")]);
  }
  if (aside?.messages) {
    const since = aside.seconds ? `, the oldest ${duration(aside.seconds)} ago` : "";
    notes.push([`${messages(aside.messages, "was", "were")} set aside${since}, because they could not be counted. `,
      left == null ? ["How to count them: ", h("code", {}, "docs/reliability.md")]
        : [`SQS deletes the oldest in ${duration(left)}. Mend what `, h("code", {}, "gimel logs"), " shows, then run ",
          h("code", {}, "gimel replay --dead-letter"), "."]]);
  }
  return notes.map((note, index) =>
    h("p", { class: `ignored backlog${(left ?? URGENT) < URGENT ? " urgent" : ""}`, "data-key": `backlog${index}` },
      icon("do_not_trust"), h("span", {}, note)));
}

/** Say that not all experiments are loaded. The button loads more, once the pages at once are here. */
function loadedNote(loaded, total) {
  const isPaused = loaded >= app.pages * PAGE_SIZE;
  return h("p", { class: "loaded soft", "data-key": "loaded" },
    `${count(loaded)} of ${plural(total, "experiment")} loaded. Search and order cover these.`,
    isPaused && [" ", h("button", { class: "button", "data-action": "more" }, "Load more")]);
}

const createButton = () => h("button", { class: "button main", "data-action": "create" }, "New experiment");

function namespaceSwitch(namespaces, view) {
  const all = [...new Set([...namespaces, view.namespace])].sort(byName);
  return h("label", { class: "field" }, h("span", {}, "Namespace"),
    h("select", { "data-change": "namespace" }, options(all, view.namespace)));
}

function toolbar(experiments, view) {
  const tabs = Object.entries(FILTERS).map(([show, { label, has }]) =>
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

function experimentTable(experiments, view) {
  const rows = selectExperiments(experiments, view);
  const best = experiments.map((experiment) => challenger(decidingGoal(experiment))).filter(Boolean);
  // The scale fits three of four intervals. One young experiment must not flatten all the others.
  const scale = scaleOf(best.map((row) => row.lift_interval_always_valid), 0.75);
  const nothing = "No experiment matches. Change the search, or choose another state.";
  return h("div", { class: "card" },
    h("table", { class: "list", role: "table", "aria-label": "Experiments" },
      h("thead", { role: "rowgroup" }, listHead(scale, view)),
      h("tbody", { role: "rowgroup" }, rows.map((experiment) => listRow(experiment, scale)))),
    h("p", { class: rows.length ? "unseen" : "nothing", role: "status" },
      rows.length ? plural(rows.length, "experiment") : nothing));
}

const listHead = (scale, view) =>
  h("tr", { role: "row" },
    sortableHead("name", view, [sortLink("name", "Experiment", view), sortLink("age", "Age", view)]),
    sortableHead("visitors", view, sortLink("visitors", "Visitors", view), "number"),
    sortableHead("lift", view, sortLink("lift", "Leading variant", view)),
    intervalHead(scale),
    sortableHead("verdict", view, sortLink("verdict", "Verdict", view)));

const intervalHead = (scale) =>
  h("th", { role: "columnheader", scope: "col", class: "wide" }, span("unseen", "Lift interval"), axis(scale));

function sortableHead(order, view, sorters, kind) {
  const isCurrent = orderOf(view) === order || (order === "name" && orderOf(view) === "age");
  const sort = isCurrent && (isDescending(view) ? "descending" : "ascending");
  return h("th", { role: "columnheader", scope: "col", class: kind, "aria-sort": sort }, sorters);
}

/** Create a link that sorts by a column, or reverses the current order. */
function sortLink(order, label, view) {
  const isCurrent = orderOf(view) === order;
  const attributes = {
    class: "sorter",
    href: link({ sort: isCurrent && view.sort === order ? `-${order}` : order }),
    "data-replace": true,
    "aria-current": isCurrent && "true",
    "aria-label": `Sort by ${label.toLowerCase()}`,
  };
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" }, isCurrent && (isDescending(view) ? "↓" : "↑"));
  return h("a", attributes, label, arrow);
}

function listRow(experiment, scale) {
  const goal = decidingGoal(experiment);
  const best = challenger(goal);
  const others = primaryGoals(experiment).length - 1;
  const hasGuardrails = experiment.definition?.goals?.some(({ role }) => role === "guardrail");
  const cell = (kind, label, ...children) => h("td", { role: "cell", class: kind, "data-label": label }, children);
  return h("tr", { role: "row", "data-key": experiment.experiment },
    h("th", { role: "rowheader", scope: "row" },
      h("a", { class: "go", href: link({ experiment: experiment.experiment }) }, bdi(experiment.experiment)),
      span("sub", stateOf(experiment), " · ", startedAgo(experiment), leftOut(experiment))),
    cell("number", "Visitors", count(visitors(experiment))),
    cell(null, "Leading", leaderCell(goal, experiment.baseline)),
    cell(`drawn ${goal?.better} ${experiment.srm.alarm ? "void" : ""}`, null, plot(best?.lift_interval_always_valid, best?.lift, scale)),
    cell("judged", null, goal ? verdictCell(goal, others, hasGuardrails) : span("soft", "No goal reached yet")));
}

const leftOut = ({ variants_left_out: number }) =>
  number > 0 && ` · ${plural(number, "more variant")} not counted here`;

/** Create a name that may be cut. The view of the experiment shows it in full. */
const shortName = (name) => bdi(name, { class: "short", title: name });

// A summary has the primary goals alone.
const verdictCell = (goal, others, hasGuardrails) => [verdictChip(goal), span("sub", shortName(goal.goal)),
  others > 0 && span("sub", `and ${plural(others, "other primary goal")}`),
  goal.verdict.state === "winner" && hasGuardrails && span("sub", "look at its guardrails")];

// A leader would suggest a difference.
const WITHOUT_LEADER = { no_difference: "too small to matter", inconclusive: "no difference found" };

function leaderCell(goal, baseline) {
  const leader = leaderOf(goal);
  if (!leader) return span("soft", DASH);
  const none = WITHOUT_LEADER[goal.verdict.state];
  if (none) return [span("soft", "none"), span("sub", none)];
  const facts = leader.label === baseline ? "the baseline" : lift(leader.lift);
  return [span("name", shortName(leader.label)), span("sub", facts)];
}

function verdictChip(goal) {
  const state = stateOfGoal(goal);
  return span(`chip ${state}`, icon(state), VERDICTS[state]);
}

const stateOf = ({ state }) => span(`state ${state}`, icon(state), STATES[state]);

function startedAgo({ created_at: moment }) {
  if (!moment) return "from gimel 1.x";
  const date = new Date(moment);
  return h("time", { datetime: moment, title: dateOnly.format(date) }, age(date));
}

/** Return the address for events. */
function eventsUrl() {
  const { origin, pathname } = new URL(document.querySelector("meta[name=gimel-events]").content, location.href);
  return `${origin}${pathname}`;
}

const snippetBox = (text, id) =>
  h("div", { class: "snippet" },
    h("button", { class: "button", type: "button", "data-action": "copy" }, "Copy"),
    h("pre", { id, tabindex: 0, "aria-label": "The snippet" }, text),
    h("p", { class: "soft", role: "status" }));

function emptyView(view) {
  return h("section", { class: "card empty" },
    h("h2", {}, "No experiment here yet"),
    h("p", {}, "Declare one: then only the variants and goals that you name are counted."),
    createButton(),
    h("p", {}, "Or paste this into your page, change the names of the experiment, its variants and its goal, and "
      + "open the page. The experiment appears here with its first visitor, without a reload."),
    snippetBox(snippet(eventsUrl(), view.namespace), "snippet"),
    h("p", { class: "soft" }, "Events are sent to ", h("code", {}, eventsUrl()),
      ", in the namespace ", bdi(view.namespace), "."));
}

/** Return placeholders for the data. What is already known is in its final place. */
function loadingView(view) {
  const isOne = isExperimentView(view);
  const title = h("h1", { tabindex: -1 }, isOne ? bdi(view.experiment) : "Experiments");
  return [
    isOne && breadcrumb(view),
    h("div", { class: "head" }, isOne ? h("div", { class: "title" }, title) : title),
    h("div", { class: "card bones", role: "status", "data-key": "bones" }, span("unseen", "Loading"),
      Array.from({ length: 6 }, () => span("bone"))),
  ];
}
