// @ts-check
// The view of one experiment: its health, then one goal at a time.

import { decisionPart } from "./decide.mjs";
import { definitionPart, snippetPart } from "./definition.mjs";
import { bdi, h, icon, options, span } from "./dom.mjs";
import { chosenGoal, inOrder, isFixed, primaryGoals, rowsInOrder, visitors } from "./experiments.mjs";
import {
  amount, chance, count, DASH, dateOnly, lift, liftRange, number, percent, PERCENT, plural, pValue, RATE_NAMES,
  rateFormat,
} from "./format.mjs";
import { goalTable } from "./goals.mjs";
import { healthPart } from "./health.mjs";
import { historySection } from "./history.mjs";
import { matrixPart } from "./matrix.mjs";
import { backlogNote, breadcrumb, button, startedAgo, stateOf } from "./parts.mjs";
import { bar, intervalHead, plot, scaleOf, sideOf } from "./plot.mjs";
import { explainedHead, meanings } from "./tips.mjs";
import { verdictPart } from "./verdict.mjs";
import { mayChange } from "./view.mjs";
/** @import { Child, Experiment, Goal, Interval, Row, View } from "./types.d.ts" */

const DOCS = "https://github.com/Alephbet/gimel/blob/main/docs/";

/**
 * @param {Experiment} experiment
 * @param {View} view
 */
export function experimentView(experiment, view) {
  const goal = chosenGoal(experiment, view);
  return [
    breadcrumb(view),
    h("div", { class: "head" },
      h("div", { class: "title" }, h("h1", { tabindex: -1 }, bdi(experiment.experiment)), facts(experiment),
        definitionPart(experiment)),
      tools(experiment)),
    backlogNote(experiment),
    experiment.srm.alarm && alarm(experiment),
    decisionPart(experiment),
    healthPart(experiment),
    snippetPart(experiment, view),
    experiment.goals.length > 1 && goal && goalTable(experiment, goal),
    goal ? goalPanel(experiment, goal, view) : visitorPanel(experiment),
    historySection(experiment, goal, view),
    footnote(experiment, goal),
  ];
}

/** @param {Experiment} experiment */
function facts(experiment) {
  const since = experiment.created_at && dateOnly.format(new Date(experiment.created_at));
  return h("p", { class: "facts" }, stateOf(experiment), " · ", plural(visitors(experiment), "visitor"), " · ",
    since && `started ${since}, `, startedAgo(experiment));
}

/** @param {Experiment} experiment */
function tools(experiment) {
  const { state } = experiment;
  return h("div", { class: "tools" },
    mayChange(experiment) && [
      !experiment.decision && state !== "archived" && button("decide", "Decide…"),
      state === "running" ? button("stop", "Stop")
        : (state === "archived" || !experiment.decision) && button("resume", state === "stopped" ? "Resume" : "Restore"),
      state === "stopped" && button("archive", "Archive"),
    ],
    button("csv", "CSV"), button("json", "JSON"), mayChange(experiment) && button("settings", "Settings"));
}

/** @param {Experiment} experiment */
function alarm(experiment) {
  const { p_value: p, weights, reason } = experiment.srm;
  const all = visitors(experiment);
  /**
   * @param {string} label
   * @param {number} trials
   */
  const shares = (label, trials) =>
    `${percent(trials / all, 1)} of visitors, ${percent(weights[label] ?? 0, 1)} intended`;
  return h("section", { class: "alarm", role: "alert", "data-key": "alarm" },
    icon("do_not_trust"),
    h("div", {},
      h("h2", {}, "The split is wrong: do not trust these numbers"),
      h("ul", { class: "split" }, inOrder(experiment, experiment.variants).map(({ label, trials }) =>
        h("li", {}, bdi(label), " ", span("number", shares(label, trials))))),
      h("p", {}, reason, ` The test at any look: p ${p != null && p < 0.0001 ? "" : "= "}${pValue(p)}.`)));
}

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 * @param {View} view
 */
function goalPanel(experiment, goal, view) {
  return h("section", { class: "card goal", "data-key": "goal", "aria-labelledby": "goal" },
    verdictPart(experiment, goal),
    resultTable(experiment, goal),
    allFigures(experiment, goal),
    matrixPart(experiment, goal, view));
}

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
function resultTable(experiment, goal) {
  const intervals = goal.results.map((row) => row.lift_interval_always_valid).filter((each) => each != null);
  const rateName = RATE_NAMES[goal.kind];
  const reachedName = goal.kind === "value" ? "Sum, about" : "Conversions";
  const why = whyNoInterval(experiment, goal, intervals);
  const drawing = { scale: scaleOf(intervals), rate: rateFormat(goal), rateName, reachedName, why };
  const heads = ["Visitors", reachedName, rateName, "Lift"].map((label) =>
    h("th", { role: "columnheader", scope: "col", class: "number" }, explainedHead(label)));
  const kind = `results ${goal.better} ${experiment.srm.alarm ? "void" : ""}`;
  return [h("table", { class: kind, role: "table", "aria-label": "Results" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      h("th", { role: "columnheader", scope: "col" }, "Variant"), heads, intervalHead(drawing.scale),
      h("th", { role: "columnheader", scope: "col", class: "number" }, explainedHead("Chance to be best")))),
    h("tbody", { role: "rowgroup" },
      rowsInOrder(experiment, goal).map((row) => resultRow(row, rank(row, experiment, goal), drawing)))),
    meanings(["Goal", "Leading", "Verdict", "Visitors", reachedName, rateName, "Lift", "Lift interval", "Chance to be best"])];
}

/**
 * Return the function that says why a row has no interval.
 * @param {Experiment} experiment
 * @param {Goal} goal
 * @param {Interval[]} intervals
 * @returns {(label: string) => string}
 */
function whyNoInterval({ variants }, { verdict }, intervals) {
  const strays = new Set(variants.filter(({ stray }) => stray).map(({ label }) => label));
  const isExplained = !intervals.length && verdict.state === "keep_collecting";
  return (label) => strays.has(label) ? "takes no part" : isExplained ? "no interval: see above" : "too little data";
}

/**
 * @param {Row} row
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
const rank = ({ label }, { baseline }, { verdict }) =>
  label === baseline ? "base" : label === verdict.winner ? "wins" : null;

/**
 * @param {Row} row
 * @param {string | null} rank
 * @param {any} given
 */
function resultRow(row, rank, { scale, rate, rateName, reachedName, why }) {
  const interval = row.lift_interval_always_valid;
  /**
   * @param {string} label
   * @param {...Child} children
   */
  const cell = (label, ...children) =>
    h("td", { role: "cell", class: "number", "data-label": label }, children);
  return h("tr", { role: "row", "data-key": row.label, class: rank },
    h("th", { role: "rowheader", scope: "row" }, span("name", bdi(row.label)),
      rank === "base" && span("sub", "baseline"),
      rank === "wins" && span("sub winner", icon("winner"), "winner")),
    cell("Visitors", count(row.trials)),
    cell(reachedName, row.sum == null ? count(row.successes) : amount(row.sum),
      row.above_cap != null && row.above_cap > 0 && span("sub", `${count(row.above_cap)} above the cap`)),
    cell(rateName, row.rate == null ? DASH : rate.format(row.rate),
      row.rate_interval && span("sub", rate.formatRange(...row.rate_interval))),
    cell("Lift", span(interval && sideOf(interval), lift(row.lift)),
      interval && span("sub", liftRange(interval))),
    h("td", { role: "cell", class: "drawn" }, plot(interval, row.lift, scale),
      !interval && rank !== "base" && span("note", why(row.label))),
    cell("Chance to be best", chance(row.chance_to_be_best), bar(row.chance_to_be_best)));
}

/**
 * Create the table with the figures that few readers need.
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
function allFigures(experiment, goal) {
  const isShare = goal.kind === "unique";
  const lossFormat = number(isShare ? 3 : 4, isShare ? PERCENT : {});
  /** @type {Record<string, (row: Row) => string>} */
  const columns = {
    "p, any time": (row) => pValue(row.p_value_always_valid),
    "p, corrected": (row) => pValue(row.p_value_always_valid_adjusted),
    "p, one look": (row) => pValue(row.p_value),
    "Lift, one look": (row) => (row.lift_interval ? liftRange(row.lift_interval) : DASH),
    "Beats baseline": (row) => chance(row.chance_to_beat_baseline),
    "Expected loss": (row) => (row.expected_loss == null ? DASH : lossFormat.format(row.expected_loss)),
  };
  const heads = Object.keys(columns).map((label) => h("th", { scope: "col", class: "number" }, explainedHead(label)));
  /** @param {Row} row */
  const cells = (row) => Object.values(columns).map((write) => h("td", { class: "number" }, write(row)));
  const rows = rowsInOrder(experiment, goal).map((row) => h("tr", { "data-key": row.label },
    h("th", { scope: "row" }, bdi(row.label, { class: "cut", title: row.label })), cells(row)));
  return h("details", { class: "more" }, h("summary", {}, "All figures"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All figures" },
      h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Variant"), heads)),
        h("tbody", {}, rows))));
}

/** @param {Experiment} experiment */
function visitorPanel(experiment) {
  const rows = inOrder(experiment, experiment.variants).map(({ label, trials }) =>
    h("tr", { role: "row", "data-key": label },
      h("th", { role: "rowheader", scope: "row" }, span("name", bdi(label))),
      h("td", { role: "cell", class: "number" }, count(trials))));
  return h("section", { class: "card goal", "data-key": "goal" },
    h("div", { class: "verdict" }, h("p", { class: "soft" }, "No goal has been reached yet. Visitors so far:")),
    h("table", { class: "results", role: "table", "aria-label": "Visitors" },
      h("tbody", { role: "rowgroup" }, rows)));
}

/** @param {Experiment} experiment */
function baselineSwitch(experiment) {
  const labels = inOrder(experiment, experiment.variants).map(({ label }) => label);
  const disabled = isFixed(experiment);
  const attributes = { "data-change": "baseline", "aria-describedby": "baseline-note", disabled };
  const note = disabled ? "Fixed since the first event." : "This is a setting of the experiment: it changes for everyone.";
  return h("div", { class: "baseline" },
    h("label", { class: "field" }, h("span", {}, "Compared with"),
      h("select", attributes, options(labels, experiment.baseline))),
    h("span", { class: "soft", id: "baseline-note" }, note));
}

/** @param {Experiment} experiment */
const strangersHint = (experiment) =>
  h("p", {}, "This experiment is not declared, so anyone can add variants and goals to it by sending events. ",
    "Declare it with ", h("code", {}, "gimel create"), ". ",
    experiment.health && !experiment.decision && mayChange(experiment)
      && button("part", "Delete a part…"));

/**
 * @param {Experiment} experiment
 * @param {Goal | undefined} goal
 */
function footnote(experiment, goal) {
  const { counting, variants } = experiment;
  const { method, shards, relative_error: error } = counting;
  const sum = method === "hyperloglog" ? plural(shards, "HyperLogLog") : method;
  const how = error
    ? `Each count is the sum of ${sum}, with a standard error of ${percent(error, 2)}. `
      + "Every interval includes this error."
    : "Counts are exact.";
  const looks = goal && ` Lift intervals have a confidence of ${percent(0.95)}, however often you look.`;
  const several = goal && (variants.length > 2 || primaryGoals(experiment).length > 1)
    && " Each interval is about one variant and one goal. The verdict corrects for the number of both.";
  const plan = goal && experiment.plan
    && " With a plan, the verdict keeps most of the error that it may make for the final look. "
      + "So it asks for more than these intervals before that look, and for less at it.";
  return h("div", { class: "foot", "data-key": "foot" },
    goal && mayChange(experiment) && baselineSwitch(experiment),
    !experiment.declared && strangersHint(experiment),
    h("p", {}, how, looks, several, plan),
    h("p", {}, h("a", { href: `${DOCS}reading-results.md`, rel: "noreferrer" }, "How to read this"), " · ",
      h("a", { href: `${DOCS}statistics.md`, rel: "noreferrer" }, "How this is computed")));
}
