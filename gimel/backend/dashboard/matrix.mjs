// @ts-check
// Every variant against every other, on one goal.

import { bdi, h } from "./dom.mjs";
import { inOrder } from "./experiments.mjs";
import { extraOf } from "./extras.mjs";
import { lift } from "./format.mjs";
/** @import { Experiment, Goal, Matrix, View } from "./types.d.ts" */

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
