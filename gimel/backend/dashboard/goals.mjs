// @ts-check
// All goals of an experiment at once, and one goal's matrix of every variant with every other.

import { bdi, capitalized, h, icon, span } from "./dom.mjs";
import { challenger, inOrder, leaderOf, sortedGoals, stateOfGoal } from "./experiments.mjs";
import { DASH, lift, liftRange, rateFormat } from "./format.mjs";
import { extraOf } from "./extras.mjs";
import { VERDICTS } from "./parts.mjs";
import { sideOf } from "./plot.mjs";
import { explainedHead, meanings } from "./tips.mjs";
import { link } from "./view.mjs";
/** @import { Child, Experiment, Goal, GuardrailState, Matrix, Row, View } from "./types.d.ts" */

// With more variants, the table shows the baseline and the leader.
const COLUMNS = 4;
// The worst state first
/** @type {GuardrailState[]} */
const GUARDRAIL_STATES = ["broken", "open", "held"];

/**
 * Create the table of all goals. A row leads to the details of its goal.
 * @param {Experiment} experiment
 * @param {Goal} current
 */
export function goalTable(experiment, current) {
  const labels = inOrder(experiment, experiment.variants.filter(({ stray }) => !stray)).map(({ label }) => label);
  const shown = labels.length > COLUMNS ? labels.slice(0, 1) : labels;
  const hasLeader = labels.length > COLUMNS;
  /**
   * @param {Child} label
   * @param {string} [kind]
   */
  const head = (label, kind) => h("th", { role: "columnheader", scope: "col", class: kind }, label);
  return h("section", { class: "card goals", "data-key": "goals" },
    h("div", { class: experiment.goals.length > 8 ? "tall" : null },
      h("table", { role: "table", "aria-label": "Goals" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head(explainedHead("Goal")),
          shown.map((label) => head(bdi(label, { class: "cut", title: label }), "number")),
          hasLeader && head(explainedHead("Leading"), "number"),
          head(explainedHead("Lift"), "number"), head(explainedHead("Verdict")))),
        h("tbody", { role: "rowgroup" }, sortedGoals(experiment).map((goal) =>
          goalRow(experiment, goal, goal === current, shown, hasLeader))))),
    meanings(["Goal", ...(hasLeader ? ["Leading"] : []), "Lift", "Verdict"]));
}

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 * @param {boolean} isCurrent
 * @param {string[]} shown
 * @param {boolean} hasLeader
 */
function goalRow(experiment, goal, isCurrent, shown, hasLeader) {
  const { goal: name, role, better } = goal;
  const format = rateFormat(goal);
  /** @param {Row | false | null | undefined} row */
  const rate = (row) => (row && row.rate != null ? format.format(row.rate) : DASH);
  /**
   * @param {string} kind
   * @param {string | null} label
   * @param {...Child} children
   */
  const cell = (kind, label, ...children) => h("td", { role: "cell", class: kind, "data-label": label }, children);
  const leader = leaderOf(goal);
  const row = challenger(goal);
  const interval = row?.lift_interval_always_valid;
  const attributes = { class: "go", href: link({ goal: name }), "aria-current": isCurrent && "true" };
  return h("tr", { role: "row", "data-key": name, class: `${better} ${experiment.srm.alarm ? "void" : ""} ${isCurrent ? "chosen" : ""}` },
    h("th", { role: "rowheader", scope: "row" }, h("a", attributes, bdi(name)),
      span("sub", role, better === "lower" && ", lower is better")),
    shown.map((label) => cell("number", label, rate(goal.results.find((each) => each.label === label)))),
    hasLeader && cell("number", "Leading", leader ? [rate(leader), h("span", { class: "sub" }, bdi(leader.label))] : DASH),
    cell("number", "Lift", row ? [span(interval && sideOf(interval), lift(row.lift)), interval && span("sub", liftRange(interval)),
      shown.length + Number(hasLeader) !== 2 && h("span", { class: "sub" }, bdi(row.label))] : DASH),
    cell("judged", null, goalChip(goal)));
}

/**
 * Show what is to say of a goal in one word: the worst state of a guardrail, or the verdict.
 * @param {Goal} goal
 */
function goalChip(goal) {
  const guardrail = GUARDRAIL_STATES.find((state) => Object.values(goal.guardrail ?? {}).includes(state));
  const state = goal.verdict.state === "do_not_trust" ? "do_not_trust" : guardrail ?? stateOfGoal(goal);
  return span(`chip ${state}`, icon(state), VERDICTS[state] ?? capitalized(state));
}

/**
 * Compare every variant with every other. The figures are asked for when the reader opens this.
 * @param {Experiment} experiment
 * @param {Goal} goal
 * @param {View} view
 */
export function matrixPart(experiment, goal, view) {
  const answer = extraOf("matrix", experiment, goal, view);
  if (experiment.variants.length < 3 || answer?.isUnknown) return null;
  return h("details", { class: "more", "data-key": "matrix" }, h("summary", {}, "Every variant against every other"),
    answer?.data ? matrixTable(experiment, answer.data)
      : h("p", { class: "soft meaning" }, answer ? "The figures could not be loaded." : "Loading"));
}

/**
 * @param {Experiment} experiment
 * @param {Matrix} matrix
 */
function matrixTable(experiment, { pairs }) {
  const found = [...new Set(pairs.map(({ label }) => label))].map((label) => ({ label }));
  const labels = inOrder(experiment, found).map(({ label }) => label);
  const cells = new Map(pairs.map((pair) => [JSON.stringify([pair.label, pair.against]), pair]));
  // Names would be too wide for column heads, so rows and columns are numbered.
  const heads = labels.map((label, index) => h("th", { scope: "col", class: "number", title: label, "aria-label": label }, index + 1));
  const rows = labels.map((label, index) => h("tr", { "data-key": label },
    h("th", { scope: "row" }, `${index + 1} `, bdi(label, { class: "cut", title: label })),
    labels.map((against) => {
      const pair = cells.get(JSON.stringify([label, against]));
      const isClear = pair?.p_value_always_valid_adjusted != null && pair.p_value_always_valid_adjusted < 0.05;
      return h("td", { class: "number" }, pair ? [isClear ? h("strong", {}, lift(pair.lift)) : lift(pair.lift), isClear && "*"] : "·");
    })));
  return [
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Every variant against every other" },
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Lift of each row over each column"), heads)),
        h("tbody", {}, rows))),
    h("p", { class: "soft meaning" }, "* significant at 5 %, corrected for all pairs, however often you look"),
  ];
}
