// @ts-check
// What the heads of columns mean: on hover and focus, and as a list where a narrow screen has no heads.

import { byId, h } from "./dom.mjs";
import { percent } from "./format.mjs";

/** @type {Record<string, string>} */
const MEANINGS = {
  "Visitors": "Who took part, each counted once.",
  "That day": "Who came on that UTC day, estimated from the snapshots around midnight. The last day is not over.",
  "Conversions": "How often the goal was reached.",
  "Sum, about": "All amounts together, each up to the cap.",
  "Rate": `The share of visitors who reached the goal, and where it is with a confidence of ${percent(0.95)}.`,
  "Per visitor": `How often a visitor reached the goal on average, and where that is with a confidence of ${percent(0.95)}.`,
  "Mean per visitor": `A visitor's amount on average, and where it is with a confidence of ${percent(0.95)}.`,
  "Lift": "How much the rate differs from the baseline's: from 10 % to 11 % is a lift of +10 %.",
  "Lift interval": `The lifts that the counts allow, with a confidence of ${percent(0.95)}, however often you look. Without zero, there is a difference.`,
  "Chance to be best": "How likely this variant is the best one, if this were your only look. It jumps about early on. So "
    + `${percent(0.95)} can stand beside “keep collecting”, and even beside “inconclusive”: a verdict holds however `
    + "often you look. Decide by the verdict.",
  "p, any time": "How likely chance alone makes such a difference, however often you look.",
  "p, corrected": "The same, corrected for the number of variants.",
  "p, one look": "The same for a single look, at a time that was fixed before.",
  "Lift, one look": "The interval for a single look, at a time that was fixed before.",
  "Beats baseline": "How likely this variant beats the baseline, if this were your only look.",
  "Expected loss": "What the choice of this variant costs on average, if another one is better.",
  "Goal": "A primary goal decides, a guardrail must not get worse, a secondary goal informs.",
  "Baseline": "The variant that the others are compared with.",
  "Leading": "The winner, or the variant with the highest chance to be best.",
  "Verdict": "What the decision rule says. Of a guardrail: whether it is held, broken or still open.",
  "Experiment": "By name.",
  "Age": "The youngest first.",
};

/** @param {string} label */
const idOf = (label) => `tip-${Object.keys(MEANINGS).indexOf(label)}`;

/**
 * Return the attributes that let an element explain itself by the meaning of a label.
 * @param {string} label
 */
export const explained = (label) => ({ "aria-describedby": idOf(label), "data-tip": true });

/**
 * Create the content of a column's head that explains itself. Narrow screens show the label alone.
 * @param {string} label
 */
export const explainedHead = (label) =>
  [h("button", { class: "tip", type: "button", ...explained(label) }, label), h("span", {}, label)];

/**
 * List what columns mean, for narrow screens.
 * @param {string[]} labels
 */
export const meanings = (labels) =>
  h("details", { class: "more meanings" }, h("summary", {}, "What the figures mean"),
    h("dl", {}, labels.map((label) => [h("dt", {}, label), h("dd", {}, MEANINGS[label])])));

/** @type {any} */
let tipped;

/**
 * Show the explanation of an element below it, inside the window.
 * @param {HTMLElement} target
 */
function showTip(target) {
  tipped = target;
  const tip = byId("tip");
  tip.textContent = byId(target.getAttribute("aria-describedby") ?? "").textContent;
  tip.hidden = false;
  const { left, bottom, top } = target.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const space = document.documentElement.clientWidth - width - 8;
  tip.style.left = `${Math.max(8, Math.min(left, space))}px`;
  tip.style.top = `${bottom + height > innerHeight ? top - height : bottom}px`;
}

/** Show explanations on hover and focus. Escape and leaving hide them. */
export function listenToTips() {
  document.body.append(
    h("div", { hidden: true }, Object.entries(MEANINGS).map(([label, text]) => h("p", { id: idOf(label) }, text))),
    h("div", { id: "tip", "aria-hidden": "true", hidden: true }));
  const hide = () => (byId("tip").hidden = true);
  /** @param {any} target */
  const tipOf = (target) => target?.closest?.("[data-tip]");
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, ({ target }) => {
      if (tipOf(target)) showTip(tipOf(target));
    });
  }
  for (const kind of ["pointerout", "focusout"]) {
    // The pointer may go from the element to its explanation, and rest there.
    document.addEventListener(kind, (/** @type {any} */ { relatedTarget: next }) => {
      if (!tipOf(next) && !next?.closest?.("#tip")) hide();
    });
  }
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  // A focus may scroll.
  document.addEventListener("scroll", () => byId("tip").hidden || showTip(tipped), { capture: true, passive: true });
}
