// @ts-check
// What the views ask of experiments: goals, rows that lead, and the order of the overview.

/** @import { Experiment, Goal, Row, View } from "./types.d.ts" */

/** @param {Pick<Experiment, "variants">} experiment */
export const visitors = (experiment) => experiment.variants.reduce((sum, variant) => sum + variant.trials, 0);

/** @param {Experiment} experiment */
const createdAt = (experiment) => (experiment.created_at ? Date.parse(experiment.created_at) : 0);

/** @param {Experiment} experiment */
export const primaryGoal = (experiment) => experiment.goals.find((goal) => goal.goal === experiment.primary_goal);

/** @param {Experiment} experiment */
export const primaryGoals = (experiment) => experiment.goals.filter((goal) => goal.role === "primary");

/**
 * Return the goal that the view shows in detail.
 * @param {Experiment} experiment
 * @param {View} view
 * @returns {Goal | undefined}
 */
export const chosenGoal = (experiment, view) =>
  experiment.goals.find(({ goal }) => goal === view.goal) ?? primaryGoal(experiment) ?? goalsInOrder(experiment)[0];

/**
 * Return rows of variants in their order: the baseline, then by name.
 * @template {{ label: string }} T
 * @param {Pick<Experiment, "baseline">} experiment
 * @param {T[]} rows
 */
export const inOrder = ({ baseline }, rows) => [...rows].sort((a, b) =>
  Number(b.label === baseline) - Number(a.label === baseline) || byName(a.label, b.label));

/**
 * @param {Row} a
 * @param {Row} b
 */
const byChance = (a, b) => (b.chance_to_be_best ?? -1) - (a.chance_to_be_best ?? -1);

/** @param {Row[] | null | undefined} rows */
export const bestOf = (rows) => [...(rows ?? [])].sort(byChance)[0];

/**
 * @param {Goal} goal
 * @param {string | null} label
 */
export const rowOf = (goal, label) => label != null && goal.results.find((row) => row.label === label);

/**
 * Return the row that leads: the winner, or the best one.
 * @param {Goal | undefined} goal
 */
export const leaderOf = (goal) => goal
  && (rowOf(goal, goal.verdict.winner) || bestOf(goal.results.filter((row) => row.chance_to_be_best != null)));

/**
 * Return the row whose interval represents the goal: the verdict's, or the best except the baseline.
 * @param {Goal | undefined} goal
 */
export function challenger(goal) {
  const drawn = goal?.results.filter((row) => row.lift_interval_always_valid);
  return drawn?.find((row) => row.label === goal?.verdict.variant) ?? bestOf(drawn);
}

/**
 * Return the state of a goal's verdict. Without samples of visitors, a repeated goal has none.
 * @param {Goal} goal
 */
export const stateOfGoal = ({ kind, samples, verdict: { state } }) =>
  state === "keep_collecting" && kind !== "unique" && samples == null ? "no_verdict" : state;

/**
 * Return the visitors of the variants that take part.
 * @param {Experiment} experiment
 */
export const counted = ({ variants }) => visitors({ variants: variants.filter(({ stray }) => !stray) });

/**
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
export const declaredGoal = ({ definition }, goal) => definition?.goals?.find(({ name }) => name === goal.goal);

/**
 * Return whether the events so far have fixed what the experiment declares.
 * @param {Experiment} experiment
 */
export const isFixed = (experiment) => experiment.declared && visitors(experiment) > 0;

// Verdicts that need a decision come first.
const URGENCY = [
  "do_not_trust", "winner", "loser", "no_difference", "inconclusive", "no_verdict", "keep_collecting", undefined,
];

/** @param {Goal | undefined} goal */
const urgencyOf = (goal) => URGENCY.indexOf(goal && stateOfGoal(goal));

/**
 * Return the primary goal that a row is about: the one whose verdict comes first.
 * @param {Experiment} experiment
 */
export const decidingGoal = (experiment) =>
  [primaryGoal(experiment), ...primaryGoals(experiment)].sort((a, b) => urgencyOf(a) - urgencyOf(b))[0];

/** @param {Experiment} experiment */
const bestLift = (experiment) => challenger(decidingGoal(experiment))?.lift ?? -Infinity;

/** @param {Experiment} experiment */
const urgency = (experiment) => urgencyOf(decidingGoal(experiment));

export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

const ROLE_ORDER = ["primary", "guardrail", "secondary"];

/**
 * Return the goals by role, and by name within a role. The first is the goal that the overview shows.
 * @param {Experiment} experiment
 */
export function goalsInOrder({ goals, primary_goal: first }) {
  /** @param {Goal} goal */
  const place = (goal) => 2 * ROLE_ORDER.indexOf(goal.role) - Number(goal.goal === first);
  return [...goals].sort((a, b) => place(a) - place(b) || byName(a.goal, b.goal));
}

/**
 * Return the rows of a goal: the baseline, then the others by name.
 * @param {Experiment} experiment
 * @param {Goal} goal
 */
export const rowsInOrder = (experiment, goal) => inOrder(experiment, goal.results);

/** @type {Record<string, { label: string, has: (experiment: Experiment) => boolean }>} */
export const FILTERS = {
  current: { label: "Current", has: ({ state }) => state !== "archived" },
  running: { label: "Running", has: ({ state }) => state === "running" },
  stopped: { label: "Stopped", has: ({ state }) => state === "stopped" },
  archived: { label: "Archived", has: ({ state }) => state === "archived" },
  decided: { label: "Decisions", has: ({ decision }) => decision != null },
};

/** @type {Record<string, (a: Experiment, b: Experiment) => number>} */
export const ORDERS = {
  name: (a, b) => byName(a.experiment, b.experiment),
  age: (a, b) => createdAt(b) - createdAt(a),
  visitors: (a, b) => visitors(b) - visitors(a),
  lift: (a, b) => bestLift(b) - bestLift(a),
  verdict: (a, b) => urgency(a) - urgency(b),
};

const DESCENDING_FIRST = new Set(["visitors", "lift"]);

/** @param {View} view */
export const orderOf = (view) => view.sort.replace("-", "");

/**
 * Return whether the order of the view is descending.
 * @param {View} view
 */
export const isDescending = (view) => DESCENDING_FIRST.has(orderOf(view)) !== view.sort.startsWith("-");

/**
 * Return the experiments that the view shows, in its order. A leading minus reverses the order.
 * @param {Experiment[]} experiments
 * @param {View} view
 */
export function selectExperiments(experiments, view) {
  const text = view.find.toLocaleLowerCase();
  const order = ORDERS[orderOf(view)];
  const selected = experiments
    .filter((experiment) => FILTERS[view.show].has(experiment))
    .filter((experiment) => experiment.experiment.toLocaleLowerCase().includes(text))
    .sort((a, b) => order(a, b) || byName(a.experiment, b.experiment));
  return view.sort.startsWith("-") ? selected.reverse() : selected;
}
