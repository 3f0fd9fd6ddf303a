// @ts-check
// What is said of one goal above its table: the verdict, the next step, and what they rest on.

import { bdi, h, icon, span } from "./dom.mjs";
import { counted, declaredGoal, inOrder, leaderOf } from "./experiments.mjs";
import { amount, count, lift, liftRange, longDate, percent, plural } from "./format.mjs";
import { verdictChip, VERDICTS } from "./parts.mjs";
import { bar } from "./plot.mjs";
import { link } from "./view.mjs";
/** @import { Child, Experiment, Goal, Interval, Verdict } from "./types.d.ts" */

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
export function verdictPart(experiment, goal) {
  const names = namesIn(experiment);
  const { reason, since, next_step: next } = goal.verdict;
  // The alarm above and the record below say these.
  const rest = reason === experiment.srm.reason ? "" : since ? reason.replace(` ${since}`, () => "") : reason;
  return h("div", { class: "verdict" },
    h("div", { class: "line" }, h("h2", { id: "goal" }, bdi(goal.goal)), verdictChip(goal),
      span("soft", describeGoal(experiment, goal))),
    rest && h("p", { class: "reason" }, sentence(rest, names)),
    h("p", { class: "next" }, icon("next"), h("span", {}, span("unseen", "Next step: "), sentence(next, names))),
    recordPart(experiment, goal),
    guardrailPart(experiment, goal));
}

/**
 * Return the names that the backend's sentences quote.
 * @param {Experiment} experiment
 */
export const namesIn = ({ variants, goals }) => variants.map(({ label }) => label).concat(goals.map(({ goal }) => goal));

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
function describeGoal(experiment, goal) {
  const cap = declaredGoal(experiment, goal)?.cap;
  return [
    experiment.goals.length > 1 && `${goal.role} goal`,
    goal.better === "lower" && "lower is better",
    goal.kind === "total" && "a visitor may reach it many times",
    goal.kind === "value" && (cap ? `amounts, each counted up to ${amount(cap)}` : "amounts"),
  ].filter(Boolean).join(" · ");
}

/**
 * Create a sentence in which each quoted name is isolated from the direction of the rest, and commands are code.
 * @param {string} text
 * @param {string[]} names
 */
export function sentence(text, names) {
  const longestFirst = [...names].sort((a, b) => b.length - a.length);
  const quoted = longestFirst.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  const parts = text.split(new RegExp(`(?<![\\p{L}\\p{N}])(${quoted})(?![\\p{L}\\p{N}])`, "u"));
  /** @param {string} part */
  const withCode = (part) => part.split(/`([^`]+)`/).map((each, index) => (index % 2 ? h("code", {}, each) : each));
  return parts.map((part, index) => (index % 2 ? bdi(part) : withCode(part)));
}

/**
 * Show the recorded verdict, and beside it what is true now.
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
function recordPart(experiment, { verdict, results }) {
  const { recorded } = verdict;
  if (!recorded) return null;
  const row = results.find(({ label }) => label === recorded.variant);
  /**
   * @param {Child} title
   * @param {number} number
   * @param {Child} lifts
   */
  const about = (title, number, lifts) =>
    h("div", {}, h("dt", {}, title), h("dd", {}, plural(number, "visitor"), lifts && [" · ", lifts]));
  /**
   * @param {number | null} value
   * @param {Interval | null} interval
   */
  const liftOf = (value, interval) => value != null
    && ["lift of ", bdi(recorded.variant ?? ""), ` ${lift(value)}`, interval && ` (${liftRange(interval)})`];
  const then = recorded.variant == null
    ? recorded.interval && `lifts from ${liftRange(recorded.interval)} are possible`
    : liftOf(recorded.lift, recorded.interval);
  const isReplaced = verdict.state !== recorded.state && ` as ${VERDICTS[recorded.state].toLowerCase()}`;
  return h("dl", { class: "record" },
    about(["Recorded on ", longDate.format(new Date(recorded.at)), isReplaced], recorded.visitors, then),
    counted(experiment) !== recorded.visitors
      && about("Now", counted(experiment), row && liftOf(row.lift, row.lift_interval_always_valid)));
}

/**
 * Show how far the plan is. The days are those that the verdict says.
 * @param {Experiment} experiment
 * @param {Verdict} [verdict]
 */
export function planPart(experiment, verdict) {
  const { visitors: planned, final_look: look } = experiment.plan || {};
  if (!planned) return null;
  const number = counted(experiment);
  const [fewest, most] = verdict?.days_needed ?? [];
  const days = most && `${fewest === most || fewest === undefined ? "" : `${count(fewest)} to `}${plural(most, "day")} left at the present pace`;
  const text = look
    ? `fulfilled on ${longDate.format(new Date(look.at))}, at ${count(look.visitors)} of ${plural(planned, "visitor")}`
    : `${count(number)} of ${plural(planned, "visitor")}${days ? `, ${days}` : ""}`;
  return h("div", { class: "plan" }, span("soft", "Plan"), h("span", {}, text), bar(Math.min(1, number / planned)));
}

/**
 * Show what the guardrails say of each variant: all beside a primary goal, or the goal's own.
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
function guardrailPart(experiment, goal) {
  const shown = goal.role === "primary" ? experiment.goals : [goal];
  const guardrails = shown.filter((each) => Object.keys(each.guardrail ?? {}).length);
  return guardrails.map((each) => {
    const { margin } = declaredGoal(experiment, each) ?? {};
    const all = inOrder(experiment, Object.entries(each.guardrail ?? {}).map(([label, state]) => ({ label, state })));
    // Of many variants, those that matter
    const named = all.filter(({ label, state }) => all.length <= 6 || state === "broken" || label === leaderOf(goal)?.label);
    const rest = all.length - named.length;
    return h("div", { class: "guardrail", "data-key": `guardrail ${each.goal}` }, span("soft", "Guardrail"),
      each !== goal && h("a", { href: link({ goal: each.goal }) }, bdi(each.goal, { class: "cut", title: each.goal })),
      span("soft", margin ? `at most ${percent(margin, margin < 0.1 ? 1 : 0)} worse` : "no worse"),
      named.map(({ label, state }) => span(`chip ${state}`, icon(state), bdi(label, { class: "cut", title: label }), state)),
      rest > 0 && span("soft", `${plural(rest, "other")} not broken`));
  });
}
