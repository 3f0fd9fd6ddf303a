// @ts-check
// The state of the page, and the view that its address names.

import { FILTERS, orderOf, ORDERS } from "./experiments.mjs";
/** @import { Answer, App, View } from "./types.d.ts" */

export const PAGE_SIZE = 100;

// The first value of `app.pages`. More rows would make each redraw slow.
export const PAGES_AT_ONCE = 5;

/** @type {View & Record<string, string>} */
export const DEFAULTS = { namespace: "alephbet", experiment: "", goal: "", find: "", sort: "age", show: "current" };

/** @type {App} */
export const app = {
  // Until the address is read
  view: /** @type {any} */ (null),
  answers: new Map(),
  // Pages of the overview that load without a click
  pages: PAGES_AT_ONCE,
  // Experiments that the backend does not have
  missing: new Set(),
  // The last error of the backend
  trouble: null,
  // Why the page asks for the key: missing or wrong
  locked: null,
  timer: 0,
  // Where to scroll to once the data are here
  top: 0,
  request: null,
};

/** @returns {View} */
export function readView() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const fields = Object.entries(DEFAULTS).map(([name, usual]) => [name, fragment.get(name) || usual]);
  const view = Object.fromEntries(fields);
  if (!Object.hasOwn(FILTERS, view.show)) view.show = DEFAULTS.show;
  if (!Object.hasOwn(ORDERS, orderOf(view))) view.sort = DEFAULTS.sort;
  return view;
}

/**
 * Return the address of the current view with changes. Default values are left out.
 * @param {Partial<View>} changes
 */
export function link(changes) {
  /** @param {[string, string]} field */
  const isNeeded = ([name, value]) => name === "namespace" || value !== DEFAULTS[name];
  return `#${new URLSearchParams(Object.entries({ ...app.view, ...changes }).filter(isNeeded))}`;
}

/**
 * Return whether an option is on. All are, until the reader turns them off.
 * @param {string} option
 */
export const isOn = (option) => localStorage.getItem(`gimel ${option}`) !== "off";

/**
 * Return whether the key may change anything. One with the scope read may not.
 * @param {{ key_scope?: string }} answer
 */
export const mayChange = (answer) => answer.key_scope !== "read";

export const overviewLink = () => link({ experiment: "", goal: "" });

/** @param {View} view */
export const isExperimentView = (view) => view.experiment !== "";

/** @param {Pick<View, "namespace" | "experiment">} given */
export const viewKey = ({ namespace, experiment }) => JSON.stringify([namespace, experiment]);

/** @param {Pick<View, "namespace" | "experiment">} given */
export const queryOf = ({ namespace, experiment }) => (experiment ? { namespace, experiment } : { namespace });

/**
 * Return the last answer for the view: its data, and when it arrived.
 * @param {Pick<View, "namespace" | "experiment">} view
 * @returns {Answer | undefined}
 */
export const answerFor = (view) => app.answers.get(viewKey(view));

export const currentExperiment = () => answerFor(app.view)?.data;
