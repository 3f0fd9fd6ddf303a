// @ts-check
// What an experiment is for, at the top of its view: hypothesis, owner, link, plan and snippet.

import { experimentSnippet } from "./create.mjs";
import { bdi, h } from "./dom.mjs";
import { primaryGoal } from "./experiments.mjs";
import { planPart } from "./verdict.mjs";
/** @import { Definition, Experiment, View } from "./types.d.ts" */

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
export function snippetPart(experiment, { namespace }) {
  const { definition, experiment: name, variants, goals, decision } = experiment;
  if (decision || experiment.state === "archived") return null;
  /** @type {Definition} */
  const shown = definition ?? {
    variants: variants.filter(({ stray }) => !stray).map(({ label }) => ({ name: label })),
    goals: goals.map(({ goal, kind }) => ({ name: goal, kind })),
  };
  return h("details", { class: "card more", "data-key": "snippet" }, h("summary", {}, "Snippet for the page"),
    h("div", { class: "padded" }, experimentSnippet(namespace, name, shown)));
}
