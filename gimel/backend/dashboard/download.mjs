// @ts-check
// Downloads of an experiment: the JSON of the backend, and the same CSV as `gimel results --csv`.

import { h } from "./dom.mjs";
/** @import { Experiment } from "./types.d.ts" */

const CSV_FIELDS = [
  "trials", "successes", "rate", "rate_interval", "lift", "lift_interval", "p_value", "p_value_adjusted",
  "lift_interval_always_valid", "p_value_always_valid", "p_value_always_valid_adjusted",
  "chance_to_beat_baseline", "chance_to_be_best", "expected_loss",
];

/** @param {string} field */
const isInterval = (field) => field.includes("interval");

// A spreadsheet reads a cell that starts like this as a formula.
const FORMULA = /^\s*[=+\-@＝＋－＠]/;

/**
 * Return a name as a CSV cell: quoted if necessary, and never a formula.
 * @param {string} name
 */
function csvCell(name) {
  const guarded = FORMULA.test(name) ? `'${name}` : name;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/** @param {Experiment} experiment */
function csvOf(experiment) {
  const heads = CSV_FIELDS.flatMap((field) => (isInterval(field) ? [`${field}_low`, `${field}_high`] : field));
  const lines = [["experiment", "goal", "kind", "verdict", "variant", ...heads]];
  for (const { goal, kind, verdict, results: rows } of experiment.goals) {
    for (const row of rows) {
      const names = [experiment.experiment, goal, kind, verdict.state, row.label].map(csvCell);
      const figures = CSV_FIELDS.flatMap((field) => /** @type {any} */ (row)[field] ?? (isInterval(field) ? ["", ""] : ""));
      lines.push([...names, ...figures]);
    }
  }
  // Without a byte order mark, Excel takes the text for one of its own code pages.
  return `\ufeff${lines.map((line) => `${line.join(",")}\r\n`).join("")}`;
}

/**
 * @param {Experiment} experiment
 * @param {"csv" | "json"} kind
 */
export function downloadFile(experiment, kind) {
  const text = kind === "csv" ? csvOf(experiment) : `${JSON.stringify(experiment, null, 2)}\n`;
  const type = kind === "csv" ? "text/csv;charset=utf-8" : "application/json";
  const address = URL.createObjectURL(new Blob([text], { type }));
  const name = experiment.experiment.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);
  h("a", { href: address, download: `${name || "experiment"}.${kind}` }).click();
  URL.revokeObjectURL(address);
}
