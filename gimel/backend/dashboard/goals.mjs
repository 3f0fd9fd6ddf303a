// @ts-check
// The table of all goals of an experiment: what is decided, and what is not.

import { bdi, capitalized, h, icon, span } from "./dom.mjs";
import { bestOf, challenger, goalsInOrder, inOrder, rowOf, stateOfGoal } from "./experiments.mjs";
import { DASH, lift, liftRange, rateFormat } from "./format.mjs";
import { VERDICTS } from "./parts.mjs";
import { intervalHead, plot, scaleOf, sideOf } from "./plot.mjs";
import { explainedHead } from "./tips.mjs";
import { link } from "./view.mjs";
/** @import { Child, Experiment, Goal, GuardrailState, Row, Scale } from "./types.d.ts" */

// With more variants, the table shows the rates of the baseline and of the leader.
const COLUMNS = 3;
// The worst state first
/** @type {GuardrailState[]} */
const GUARDRAIL_STATES = ["broken", "open", "held"];

/**
 * Create the table: a row for each goal, which leads to its details below.
 * @param {Experiment} experiment
 * @param {Goal} current
 */
export function goalTable(experiment, current) {
  const goals = goalsInOrder(experiment);
  const intervals = goals.map((goal) => challenger(goal)?.lift_interval_always_valid).filter((each) => each != null);
  // As in the overview, one goal with few conversions must not flatten all the others.
  const scale = scaleOf(intervals, 0.75);
  const labels = inOrder(experiment, experiment.variants.filter(({ stray }) => !stray)).map(({ label }) => label);
  const shown = labels.length > COLUMNS ? null : labels;
  /** @param {Child} label */
  const head = (label, kind = "") => h("th", { role: "columnheader", scope: "col", class: kind }, label);
  return h("nav", { class: "card all-goals", "aria-label": "Goal", "data-key": "goals" },
    h("table", { class: `goal-list ${experiment.srm.alarm ? "void" : ""}`, role: "table", "aria-label": "Goals" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
        head(explainedHead("Goal")),
        shown?.map((label) => head(bdi(label, { class: "cut", title: label }), "number"))
          ?? ["Baseline", "Leading"].map((label) => head(explainedHead(label), "number")),
        head(explainedHead("Lift"), "number"), intervalHead(scale), head(explainedHead("Verdict")))),
      h("tbody", { role: "rowgroup" }, goals.map((goal) => goalRow(experiment, goal, goal === current, scale, shown)))));
}

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 * @param {boolean} isCurrent
 * @param {Scale} scale
 * @param {string[] | null} shown
 */
function goalRow(experiment, goal, isCurrent, scale, shown) {
  const { goal: name, role, better } = goal;
  const { baseline, variants } = experiment;
  const others = goal.results.filter(({ label }) => label !== baseline);
  const row = challenger(goal) ?? bestOf(others);
  const interval = row?.lift_interval_always_valid ?? null;
  const format = rateFormat(goal);
  /** @param {Row | undefined | false} each */
  const rate = (each) => (each && each.rate != null ? format.format(each.rate) : DASH);
  /**
   * @param {string} label
   * @param {...Child} children
   */
  const cell = (label, ...children) => h("td", { role: "cell", class: "number", "data-label": label }, children);
  return h("tr", { role: "row", "data-key": name, class: isCurrent ? "current" : "" },
    h("th", { role: "rowheader", scope: "row" },
      h("a", { class: "go", href: link({ goal: name }), "aria-current": isCurrent && "true" }, bdi(name)),
      span("sub", role, better === "lower" && ", lower is better")),
    shown?.map((label) => cell(label, rate(rowOf(goal, label))))
      ?? [cell("Baseline", rate(rowOf(goal, baseline))), cell("Leading", rate(row), row && span("sub", bdi(row.label)))],
    cell("Lift", span(interval && `${better} ${sideOf(interval)}`, lift(row?.lift ?? null)),
      interval && span("sub", liftRange(interval)), row && shown && variants.length > 2 && span("sub", bdi(row.label))),
    h("td", { role: "cell", class: `drawn ${better}` }, plot(interval, row?.lift ?? null, scale)),
    h("td", { role: "cell", class: "judged" }, stateChip(goal)));
}

/**
 * Create the chip for a goal: the worst state of a guardrail, or the verdict.
 * @param {Goal} goal
 */
function stateChip(goal) {
  const guardrail = GUARDRAIL_STATES.find((state) => Object.values(goal.guardrail ?? {}).includes(state));
  const state = goal.verdict.state === "do_not_trust" ? "do_not_trust" : guardrail ?? stateOfGoal(goal);
  return span(`chip ${state}`, icon(state), VERDICTS[state] ?? capitalized(state));
}
