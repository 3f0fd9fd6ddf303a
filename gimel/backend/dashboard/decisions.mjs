// @ts-check
// The view of all decisions: what a team has learned, the newest first.

import { decisionFacts } from "./decide.mjs";
import { bdi, h } from "./dom.mjs";
import { stateOf } from "./parts.mjs";
import { link } from "./view.mjs";
/** @import { Experiment } from "./types.d.ts" */

/** @param {Experiment[]} experiments those that are decided */
export function decisionList(experiments) {
  if (!experiments.length) return h("p", { class: "card nothing" }, "Nothing is decided here.");
  /** @param {Experiment} experiment */
  const at = ({ decision }) => Date.parse(decision?.at ?? "");
  return h("ul", { class: "card decisions", "data-key": "decisions" },
    [...experiments].sort((a, b) => at(b) - at(a)).map((experiment) =>
      h("li", { class: "verdict", "data-key": experiment.experiment },
        h("h2", {}, h("a", { href: link({ experiment: experiment.experiment }) }, bdi(experiment.experiment)), ": ",
          bdi(experiment.decision?.winner ?? "")),
        stateOf(experiment), experiment.decision && decisionFacts(experiment.decision))));
}
