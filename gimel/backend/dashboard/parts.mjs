// @ts-check
// The parts that several views share.

import { bdi, h, icon, span } from "./dom.mjs";
import { stateOfGoal } from "./experiments.mjs";
import { age, dateOnly, duration, plural } from "./format.mjs";
import { isExperimentView, overviewLink } from "./view.mjs";
/** @import { Backlog, Child, Experiment, Goal, View } from "./types.d.ts" */

/** @type {Record<string, string>} */
export const VERDICTS = {
  winner: "Winner",
  loser: "Loser",
  no_difference: "No difference",
  inconclusive: "Inconclusive",
  keep_collecting: "Keep collecting",
  no_verdict: "No verdict",
  do_not_trust: "Do not trust",
};

const STATES = { running: "Running", stopped: "Stopped", archived: "Archived" };

/** @param {Goal} goal */
export function verdictChip(goal) {
  const state = stateOfGoal(goal);
  return span(`chip ${state}`, icon(state), VERDICTS[state]);
}

/**
 * @param {string} action
 * @param {Child} label
 */
export const button = (action, label) => h("button", { class: "button", "data-action": action, "data-key": action }, label);

/** @param {Pick<Experiment, "state">} given */
export const stateOf = ({ state }) => span(`state ${state}`, icon(state), STATES[state]);

/** @param {Pick<Experiment, "created_at">} given */
export function startedAgo({ created_at: moment }) {
  if (!moment) return "from gimel 1.x";
  const date = new Date(moment);
  return h("time", { datetime: moment, title: dateOnly.format(date) }, age(date.getTime()));
}

/**
 * Create a name that may be cut. The view of the experiment shows it in full.
 * @param {string} name
 */
export const shortName = (name) => bdi(name, { class: "short", title: name });

/** @param {View} view */
export const breadcrumb = (view) =>
  h("nav", { class: "crumbs", "aria-label": "Breadcrumb" },
    h("a", { href: overviewLink() }, icon("back"), "Experiments in ", bdi(view.namespace)));

// SQS deletes a message that was set aside. From this many seconds before, that is urgent.
const URGENT = 3 * 86400;

/**
 * Say what is not counted yet, and what to do. A backend without a queue says nothing of it.
 * @param {Backlog} given
 */
export function backlogNote({ waiting, set_aside: aside, waiting_events: events }) {
  /**
   * @param {number} number
   * @param {string} one
   * @param {string} many
   */
  const messages = (number, one, many) => `${plural(number, "message")} with events ${number === 1 ? one : many}`;
  const notes = [];
  const left = aside?.seconds_left;
  if (waiting?.messages) {
    const since = waiting.seconds ? `, the oldest for ${duration(waiting.seconds)}` : "";
    notes.push([`${messages(waiting.messages, "waits", "wait")} to be counted${since}. `
      + "They count as soon as Redis takes them."
      + (events ? ` ${plural(events, "event")} of this experiment ${events === 1 ? "is" : "are"} among them.` : "")]);
  }
  if (aside?.messages) {
    const since = aside.seconds ? `, the oldest ${duration(aside.seconds)} ago` : "";
    notes.push([`${messages(aside.messages, "was", "were")} set aside${since}, because they could not be counted. `,
      left == null ? ["How to count them: ", h("code", {}, "docs/reliability.md")]
        : [`SQS deletes the oldest in ${duration(left)}. Mend what `, h("code", {}, "gimel logs"), " shows, then run ",
          h("code", {}, "gimel replay --dead-letter"), "."]]);
  }
  return notes.map((note, index) =>
    h("p", { class: `ignored backlog${(left ?? URGENT) < URGENT ? " urgent" : ""}`, "data-key": `backlog${index}` },
      icon("do_not_trust"), h("span", {}, note)));
}

/**
 * Return placeholders for the data. What is already known is in its final place.
 * @param {View} view
 */
export function loadingView(view) {
  const isOne = isExperimentView(view);
  const title = h("h1", { tabindex: -1 }, isOne ? bdi(view.experiment) : "Experiments");
  return [
    isOne && breadcrumb(view),
    h("div", { class: "head" }, isOne ? h("div", { class: "title" }, title) : title),
    h("div", { class: "card bones", role: "status", "data-key": "bones" }, span("unseen", "Loading"),
      Array.from({ length: 6 }, () => span("bone"))),
  ];
}

/** @param {View} view */
export function notFoundView(view) {
  return [
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, bdi(view.experiment))),
    h("section", { class: "card empty" },
      h("h2", {}, "There is no such experiment in the namespace ", bdi(view.namespace)),
      h("p", {}, "It was deleted, or the link names another namespace. ",
        h("a", { href: overviewLink() }, "All experiments"))),
  ];
}
