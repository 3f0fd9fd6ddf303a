// @ts-check
// The decision on an experiment: the dialog that makes it, and what it says from then on.

import { openForm } from "./dialog.mjs";
import { bdi, h, icon, options, span } from "./dom.mjs";
import { decidingGoal } from "./experiments.mjs";
import { lift, liftRange, longDate, plural } from "./format.mjs";
import { button, verdictChip } from "./parts.mjs";
import { attributeName } from "./snippet.mjs";
import { namesIn, sentence } from "./verdict.mjs";
import { mayChange } from "./view.mjs";
/** @import { Decision, Experiment } from "./types.d.ts" */

/** @param {Experiment} experiment */
const labelsOf = ({ variants }) => variants.filter(({ stray }) => !stray).map(({ label }) => label);

/**
 * @param {Experiment} experiment
 * @param {(body: Record<string, any>) => any} change
 */
export function openDecide(experiment, change) {
  const { decision, definition, waiting_events: waiting } = experiment;
  const goal = decidingGoal(experiment);
  const found = goal?.verdict.winner ?? "";
  // A winner that breaks a guardrail is nothing to suggest.
  const isBroken = experiment.goals.some(({ guardrail }) => guardrail?.[found] === "broken");
  const winner = decision?.winner ?? (isBroken ? null : found || null);
  const consequences = decision ? ["The figures stay those of the first decision."] : [
    "Counting stops. Late events are ignored, after a minute at the latest.",
    "The current figures are kept, with your reason.",
    definition?.flag && "OpenFeature gives the winner to everyone.",
    waiting && `${plural(waiting, "waiting event")} will not count.`,
  ];
  const content = h("div", { class: "settings" },
    goal && h("p", { class: "line" }, bdi(goal.goal), " ", verdictChip(goal), " ",
      !decision && span("soft", sentence(goal.verdict.next_step, namesIn(experiment)))),
    h("label", { class: "field" }, h("span", {}, "Winner: the variant that stays"),
      h("select", { name: "winner" }, !winner && h("option", { value: "" }, "Choose a variant"),
        options(labelsOf(experiment), winner))),
    h("label", { class: "field" }, h("span", {}, "Reason, for those who ask in a year"),
      h("textarea", { name: "reason", rows: 3, dir: "auto" }, decision?.reason)),
    h("ul", { class: "soft" }, consequences.filter(Boolean).map((each) => h("li", {}, each))));
  openForm([decision ? "Change the decision on " : "Decide ", bdi(experiment.experiment)], content, decision ? "Save" : "Decide",
    ({ elements }) => change({ decision: { winner: elements.winner.value, reason: elements.reason.value.trim() } }));
}

/**
 * @param {Experiment} experiment
 * @param {(body: Record<string, any>) => any} change
 */
export function confirmUndecide(experiment, change) {
  openForm(["Take back the decision on ", bdi(experiment.experiment), "?"],
    h("p", {}, "Its reason is deleted. The experiment stays stopped until you resume it."),
    "Take back", () => change({ decision: null }), { danger: true });
}

/**
 * Create what was decided, on which figures and why, and which code can be deleted.
 * @param {Experiment} experiment
 */
export function decisionPart(experiment) {
  const { decision, definition, experiment: name } = experiment;
  if (!decision) return null;
  const losers = labelsOf(experiment).filter((label) => label !== decision.winner);
  return h("section", { class: "card verdict decision", "data-key": "decision", "aria-labelledby": "decided" },
    h("h2", { id: "decided" }, icon("held"), " Decided: ", bdi(decision.winner)),
    decisionFacts(decision),
    h("h3", {}, "Now delete from your code"),
    h("ul", {},
      losers.length > 0 && h("li", {}, "what only ", losers.map((each, index) =>
        [index > 0 && (index === losers.length - 1 ? " or " : ", "), bdi(each)]), " needs"),
      h("li", {}, definition?.flag
        ? ["the flag. Until then, OpenFeature gives ", bdi(decision.winner), " to everyone"]
        : ["the snippet, and the attribute ", h("code", {}, attributeName(name)), " in styles and scripts"])),
    mayChange(experiment) && h("div", { class: "tools" },
      button("decide", "Change…"), button("undecide", "Take back…")));
}

/**
 * Create when it was decided, the lifts of that moment on primary goals, and the reason. The lifts
 * are those of the winner; of the others, if it is the baseline.
 * @param {Decision} decision
 */
export function decisionFacts({ winner, at, reason, figures }) {
  const lifts = (figures?.goals ?? []).filter(({ role }) => role === "primary").flatMap(({ goal, variants }) => {
    const rows = variants.filter((row) => row.lift != null);
    const own = rows.filter(({ label }) => label === winner);
    return (own.length ? own : rows).map(({ label, lift: value, lift_interval_always_valid: interval }) =>
      [" · ", bdi(goal), ": ", bdi(label), ` ${lift(value)}`, interval && ` (${liftRange(interval)})`]);
  });
  return [
    h("p", { class: "facts" }, longDate.format(new Date(at)), lifts),
    h("p", { class: "hypothesis" }, bdi(reason)),
  ];
}
