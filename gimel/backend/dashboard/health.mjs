// @ts-check
// The health of an experiment: the backend's checks of its events, and what to do.

import { h, icon, span } from "./dom.mjs";
import { count, plural } from "./format.mjs";
import { namesIn, sentence } from "./verdict.mjs";
/** @import { Experiment } from "./types.d.ts" */

/**
 * Create the list of checks. It is open from the start if something is wrong.
 * @param {Experiment} experiment
 */
export function healthPart(experiment) {
  // The alarm above says what is wrong with the split.
  const checks = (experiment.health ?? []).filter(({ kind, level }) => kind !== "split" || level === "ok");
  if (!checks.length) return null;
  const wrong = checks.filter(({ level }) => level !== "ok").length;
  const title = wrong ? `${count(wrong)} of ${plural(checks.length, "check")} need${wrong === 1 ? "s" : ""} attention` : `${plural(checks.length, "check")} passed`;
  const strays = (experiment.ignored?.last ?? []).flatMap(({ goal, variant }) => [goal, variant]);
  const names = [...namesIn(experiment), ...strays];
  return h("details", { class: "card more health", open: wrong > 0, "data-key": `health${wrong ? "" : " ok"}` },
    h("summary", {}, icon(wrong ? "do_not_trust" : "held"), ` Health: ${title}`),
    h("ul", {}, checks.map(({ level, sentence: text, next_step: next }) =>
      h("li", { class: `is-${level}` },
        icon(level === "ok" ? "held" : "do_not_trust"), h("span", {}, sentence(text, names)),
        next && span("soft", sentence(next, names))))));
}
