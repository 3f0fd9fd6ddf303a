// @ts-check
// What a view shows besides its experiment: the history of a goal, and its matrix. The page requests
// each of them when it is first shown, and again after five minutes.

import { ask, BackendError } from "./api.mjs";
import { chosenGoal } from "./experiments.mjs";
import { app, queryOf } from "./view.mjs";
/** @import { Experiment, Extra, Goal, View } from "./types.d.ts" */

const FRESH_MS = 300e3;
const AGAIN_MS = 60e3;

/**
 * @param {string} kind
 * @param {Experiment} experiment
 * @param {Goal | undefined} goal
 * @param {View} view
 */
const extraKey = (kind, experiment, goal, view) =>
  JSON.stringify([kind, view.namespace, view.experiment, goal?.goal, experiment.baseline]);

/**
 * Return what was answered last. Its data are undefined if that failed.
 * @param {string} kind
 * @param {Experiment} experiment
 * @param {Goal | undefined} goal
 * @param {View} view
 * @returns {Extra | undefined}
 */
export const extraOf = (kind, experiment, goal, view) => app.answers.get(extraKey(kind, experiment, goal, view));

/** @type {Set<string>} */
const pending = new Set();

/**
 * Load what is shown and not fresh. Return whether there is something new to draw.
 * @param {Experiment} experiment
 * @param {View} view
 */
export async function loadExtras(experiment, view) {
  const kinds = ["history"];
  if (document.querySelector("[data-key=matrix][open]")) kinds.push("matrix");
  return (await Promise.all(kinds.map((kind) => loadExtra(kind, experiment, view)))).some(Boolean);
}

/**
 * @param {string} kind
 * @param {Experiment} experiment
 * @param {View} view
 */
async function loadExtra(kind, experiment, view) {
  const goal = chosenGoal(experiment, view);
  const key = extraKey(kind, experiment, goal, view);
  const last = extraOf(kind, experiment, goal, view);
  const isFresh = last && Date.now() - last.at < (last.data ? FRESH_MS : AGAIN_MS);
  if (pending.has(key) || last?.isUnknown || isFresh) return false;
  pending.add(key);
  let data, isUnknown;
  try {
    const [path, field] = kind === "history" ? ["history", "goal"] : ["experiment", "matrix"];
    const answer = JSON.parse(await ask("GET", path, { ...queryOf(view), ...(goal && { [field]: goal.goal }) }));
    data = kind === "history" ? answer : answer.matrix;
    // An earlier version of the backend does not know the field, or the route.
    isUnknown = !data;
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    isUnknown = error.status === 404 && !["experiment", "goal", "matrix"].includes(error.field ?? "");
    data = last?.data;
  }
  pending.delete(key);
  // Without a key, the page shows no figures.
  if (app.locked) return false;
  app.answers.set(key, /** @type {Extra} */ ({ data, isUnknown, at: Date.now() }));
  return true;
}
