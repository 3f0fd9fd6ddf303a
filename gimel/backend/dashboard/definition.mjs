// @ts-check
// What an experiment is for, at the top of its view: hypothesis, owner, link, plan and snippet.

import { experimentSnippet } from "./create.mjs";
import { bdi, h } from "./dom.mjs";
import { primaryGoal } from "./experiments.mjs";
import { planPart } from "./verdict.mjs";
/** @import { Experiment, View } from "./types.d.ts" */

/**
 * Create what the owner declared: the hypothesis, then owner and link, then the plan.
 * @param {Experiment} experiment
 */
export function definitionPart(experiment) {
  const { hypothesis, owner, link: target } = experiment.definition ?? {};
  const facts = [
    owner && ["Owner ", bdi(owner)],
    target && /^https?:\/\//i.test(target) && h("a", { href: target, rel: "noopener noreferrer" },
      bdi(target, { class: "cut", title: target })),
  ].filter(Boolean);
  return [
    hypothesis && h("p", { class: "hypothesis" }, bdi(hypothesis)),
    facts.length > 0 && h("p", { class: "facts" }, facts.map((fact, index) => [index > 0 && " · ", fact])),
    planPart(experiment, primaryGoal(experiment)?.verdict),
  ];
}

/**
 * @param {Experiment} experiment
 * @param {View} view
 */
export const snippetPart = ({ definition, experiment: name, decision, state }, { namespace }) =>
  definition && !decision && state !== "archived"
    && h("details", { class: "card more", "data-key": "snippet" }, h("summary", {}, "Snippet for the page"),
      h("div", { class: "verdict" }, experimentSnippet(namespace, name, definition)));
