// @ts-check
// The overview: one row for each experiment of a namespace. Search, order and filter are in the
// address.

import { eventsUrl, snippetBox } from "./create.mjs";
import { decisionList } from "./decisions.mjs";
import { bdi, h, icon, later, options, span } from "./dom.mjs";
import {
  byName, challenger, decidingGoal, FILTERS, isDescending, leaderOf, orderOf, primaryGoals, selectExperiments, visitors,
} from "./experiments.mjs";
import { age, count, DASH, lift, plural } from "./format.mjs";
import { backlogNote, shortName, startedAgo, stateOf, verdictChip } from "./parts.mjs";
import { intervalHead, plot, scaleOf } from "./plot.mjs";
import { snippet } from "./snippet.mjs";
import { explained } from "./tips.mjs";
import { app, isOn, link, mayChange, PAGE_SIZE } from "./view.mjs";
/** @import { Child, Experiment, Goal, Meta, Scale, VerdictState, View } from "./types.d.ts" */

/**
 * @param {[{ meta: Meta }, ...Experiment[]]} given
 * @param {View} view
 */
export function overview([{ meta }, ...experiments], view) {
  const isEmpty = experiments.length === 0;
  return [
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, "Experiments"),
      meta.next !== null && loadedNote(experiments.length, meta.total),
      h("div", { class: "tools" }, namespaceSwitch(meta.namespaces, view), !isEmpty && mayChange(meta) && createButton())),
    backlogNote(meta),
    isEmpty ? emptyView(meta, view) : [
      toolbar(experiments, view),
      view.show === "decided" ? decisionList(selectExperiments(experiments, view)) : experimentTable(experiments, view),
    ],
  ];
}

/**
 * Say that not all experiments are loaded. The button loads more, once the pages at once are here.
 * @param {number} loaded
 * @param {number} total
 */
function loadedNote(loaded, total) {
  const isPaused = loaded >= app.pages * PAGE_SIZE;
  return h("p", { class: "loaded soft", "data-key": "loaded" },
    `${count(loaded)} of ${plural(total, "experiment")} loaded. Search and order cover these.`,
    isPaused && [" ", h("button", { class: "button", "data-action": "more" }, "Load more")]);
}

const createButton = () => h("button", { class: "button main", "data-action": "create" }, "New experiment");

/**
 * @param {string[]} namespaces
 * @param {View} view
 */
function namespaceSwitch(namespaces, view) {
  const all = [...new Set([...namespaces, view.namespace])].sort(byName);
  return h("label", { class: "field" }, h("span", {}, "Namespace"),
    h("select", { "data-change": "namespace" }, options(all, view.namespace)));
}

/**
 * @param {Experiment[]} experiments
 * @param {View} view
 */
function toolbar(experiments, view) {
  const tabs = Object.entries(FILTERS).map(([show, { label, has }]) =>
    h("a", { href: link({ show }), "data-replace": true, "aria-current": show === view.show && "true" },
      label, " ", span("soft", count(experiments.filter(has).length))));
  return h("div", { class: "toolbar" },
    h("label", { class: "search" }, icon("search"), span("unseen", "Search experiments"),
      h("input", {
        type: "search", id: "find", value: view.find, placeholder: "Search", "data-input": "find",
        autocomplete: "off", spellcheck: "false", dir: "auto", "aria-keyshortcuts": isOn("shortcut") && "/",
      }),
      isOn("shortcut") && h("kbd", { "aria-hidden": "true" }, "/")),
    h("nav", { class: "tabs", "aria-label": "State" }, tabs));
}

/**
 * @param {Experiment[]} experiments
 * @param {View} view
 */
function experimentTable(experiments, view) {
  const rows = selectExperiments(experiments, view);
  const best = experiments.map((experiment) => challenger(decidingGoal(experiment))).filter((row) => row !== undefined);
  // The scale fits three of four intervals. One young experiment must not flatten all the others.
  const scale = scaleOf(best.map((row) => row.lift_interval_always_valid).filter((each) => each != null), 0.75);
  const nothing = "No experiment matches. Change the search, or choose another state.";
  return h("div", { class: "card" },
    h("table", { class: "list", role: "table", "aria-label": "Experiments" },
      h("thead", { role: "rowgroup" }, listHead(scale, view)),
      h("tbody", { role: "rowgroup" }, rows.map((experiment) => listRow(experiment, scale, view)))),
    h("p", { class: rows.length ? "unseen" : "nothing", role: "status" },
      rows.length ? plural(rows.length, "experiment") : nothing));
}

/**
 * @param {Scale} scale
 * @param {View} view
 */
const listHead = (scale, view) =>
  h("tr", { role: "row" },
    sortableHead("name", view, [sortLink("name", "Experiment", view), sortLink("age", "Age", view)]),
    sortableHead("visitors", view, sortLink("visitors", "Visitors", view), "number"),
    sortableHead("lift", view, sortLink("lift", "Leading", view)),
    intervalHead(scale),
    sortableHead("verdict", view, sortLink("verdict", "Verdict", view)));

/**
 * @param {string} order
 * @param {View} view
 * @param {Child} sorters
 * @param {string} [kind]
 */
function sortableHead(order, view, sorters, kind) {
  const isCurrent = orderOf(view) === order || (order === "name" && orderOf(view) === "age");
  const sort = isCurrent && (isDescending(view) ? "descending" : "ascending");
  return h("th", { role: "columnheader", scope: "col", class: kind, "aria-sort": sort }, sorters);
}

/**
 * Create a link that sorts by a column, or reverses the current order.
 * @param {string} order
 * @param {string} label
 * @param {View} view
 */
function sortLink(order, label, view) {
  const isCurrent = orderOf(view) === order;
  const attributes = {
    ...explained(label),
    class: "sorter",
    href: link({ sort: isCurrent && view.sort === order ? `-${order}` : order }),
    "data-replace": true,
    "aria-current": isCurrent && "true",
    "aria-label": `Sort by ${label.toLowerCase()}`,
  };
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" }, isCurrent && (isDescending(view) ? "↓" : "↑"));
  return h("a", attributes, label, arrow);
}

/**
 * @param {Experiment} experiment
 * @param {Scale} scale
 * @param {View} view
 */
function listRow(experiment, scale, view) {
  const { created_at: created } = experiment;
  const content = JSON.stringify([experiment, scale, view, created && age(Date.parse(created))]);
  return later("tr", experiment.experiment, content, () => buildRow(experiment, scale));
}

/**
 * @param {Experiment} experiment
 * @param {Scale} scale
 */
function buildRow(experiment, scale) {
  const goal = decidingGoal(experiment);
  const best = challenger(goal);
  const others = primaryGoals(experiment).length - 1;
  const hasGuardrails = experiment.definition?.goals?.some(({ role }) => role === "guardrail");
  /**
   * @param {string | null} kind
   * @param {string | null} label
   * @param {...Child} children
   */
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

/** @param {Experiment} experiment */
const leftOut = ({ variants_left_out: number }) =>
  number > 0 && ` · ${plural(number, "more variant")} not counted here`;

// A summary has the primary goals alone.
/**
 * @param {Goal} goal
 * @param {number} others
 * @param {boolean | undefined} hasGuardrails
 */
const verdictCell = (goal, others, hasGuardrails) => [verdictChip(goal), span("sub", shortName(goal.goal)),
  others > 0 && span("sub", `and ${plural(others, "other primary goal")}`),
  goal.verdict.state === "winner" && hasGuardrails && span("sub", "look at its guardrails")];

// A leader would suggest a difference.
/** @type {Partial<Record<VerdictState, string>>} */
const WITHOUT_LEADER = { no_difference: "too small to matter", inconclusive: "no difference found" };

/**
 * @param {Goal | undefined} goal
 * @param {string} baseline
 */
function leaderCell(goal, baseline) {
  const leader = leaderOf(goal);
  if (!goal || !leader) return span("soft", DASH);
  const none = WITHOUT_LEADER[goal.verdict.state];
  if (none) return [span("soft", "none"), span("sub", none)];
  const facts = leader.label === baseline ? "the baseline" : lift(leader.lift);
  return [span("name", shortName(leader.label)), span("sub", facts)];
}

/**
 * @param {Meta} meta
 * @param {View} view
 */
function emptyView(meta, view) {
  return h("section", { class: "card empty" },
    h("h2", {}, "No experiment here yet"),
    mayChange(meta) && [
      h("p", {}, "Declare one: then only the variants and goals that you name are counted."),
      createButton(),
    ],
    h("p", {}, `${mayChange(meta) ? "Or paste" : "Paste"} this into your page, change the names of the experiment, its variants and its goal, and `
      + "open the page. The experiment appears here with its first visitor, without a reload."),
    snippetBox(snippet(eventsUrl(), view.namespace), "snippet"),
    h("p", { class: "soft" }, "Events are sent to ", h("code", {}, eventsUrl()),
      ", in the namespace ", bdi(view.namespace), "."));
}
