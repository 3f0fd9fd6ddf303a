// @ts-check
// The health of an experiment: the backend's checks of its events, and what to do.

import { bdi, h, icon, span } from "./dom.mjs";
import { count, plural } from "./format.mjs";
import { namesIn, sentence } from "./verdict.mjs";
/** @import { Experiment, Ignored } from "./types.d.ts" */

/**
 * Create the list of checks. It is open from the start if something is wrong.
 * @param {Experiment} experiment
 */
export function healthPart(experiment) {
  // The alarm above says what is wrong with the split.
  const checks = (experiment.health ?? []).filter(({ kind, level }) => kind !== "split" || level === "ok");
  if (!checks.length) return null;
  const wrong = checks.filter(({ level }) => level !== "ok").length;
  const title = wrong ? `${count(wrong)} of ${plural(checks.length, "check")} need attention` : `${plural(checks.length, "check")} passed`;
  const names = namesIn(experiment);
  return h("details", { class: "card more health", open: wrong > 0, "data-key": `health${wrong ? "" : " ok"}` },
    h("summary", {}, icon(wrong ? "do_not_trust" : "held"), ` Health: ${title}`),
    h("ul", {}, checks.map(({ kind, level, sentence: text, next_step: next }) =>
      h("li", { class: `is-${level}`, "data-key": kind },
        (kind === "ignored" && ignoredLine(experiment.ignored))
          || [icon(level === "ok" ? "held" : "do_not_trust"), h("span", {}, sentence(text, names))],
        next && span("soft", sentence(next, names))))));
}

// The name in an ignored event that explains each reason
/** @type {Record<string, "variant" | "goal">} */
const CULPRITS = {
  "undeclared variant": "variant",
  "undeclared goal": "goal",
  "goal needs a key": "goal",
  "goal needs a visitor": "goal",
  "goal needs a value": "goal",
};

/** @param {Ignored | undefined} [given] */
function ignoredLine({ reasons, last } = { reasons: {}, last: [] }) {
  const all = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  if (!all.length) return null;
  const total = all.reduce((sum, [, number]) => sum + number, 0);
  const parts = all.map(([reason, number], index) => {
    const name = last.find((each) => each.reason === reason)?.[CULPRITS[reason]];
    const many = all.length > 1 && count(number);
    const details = [many, many && name && ", ", name && ["last: ", bdi(name)]];
    return [index > 0 && ", ", reason, (many || name) && [" (", details, ")"]];
  });
  return h("span", { class: "ignored" }, icon("do_not_trust"), h("span", {}, `At least ${plural(total, "event")} ignored: `, parts));
}
