// The order of the overview, and the goal and the row that stand for an experiment.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  byName, challenger, decidingGoal, goalsInOrder, rowsInOrder, selectExperiments, stateOfGoal,
} from "../../../gimel/backend/dashboard/experiments.mjs";

const VIEW = { find: "", sort: "name", show: "current" };
const named = (experiment, more = {}) =>
  ({ experiment, state: "running", created_at: null, variants: [], goals: [], primary_goal: null, ...more });
const names = (experiments, view = {}) =>
  selectExperiments(experiments, { ...VIEW, ...view }).map((each) => each.experiment);
const goal = (name, state, more = {}) =>
  ({ goal: name, kind: "unique", role: "primary", samples: null, verdict: { state, variant: null }, results: [], ...more });

test("numbers in names are ordered by their value", () => {
  assert.deepEqual(["test 10", "test 9", "Test 2", "test 02b"].sort(byName), ["Test 2", "test 02b", "test 9", "test 10"]);
  assert.deepEqual(names([named("b 10"), named("a"), named("b 9")]), ["a", "b 9", "b 10"]);
  assert.deepEqual(names([named("b 10"), named("a"), named("b 9")], { sort: "-name" }), ["b 10", "b 9", "a"]);
});

test("equal ones are ordered by name", () => {
  const old = { created_at: "2026-01-01T00:00:00Z" };
  const all = [named("b 10", old), named("b 2", old), named("new", { created_at: "2026-02-01T00:00:00Z" }), named("1.x")];
  assert.deepEqual(names(all, { sort: "age" }), ["new", "b 2", "b 10", "1.x"]);
});

test("archived ones are hidden until they are asked for, and the search knows no case", () => {
  const all = [named("Ant"), named("bee", { state: "archived" }), named("beetle", { state: "stopped" })];
  assert.deepEqual(names(all), ["Ant", "beetle"]);
  assert.deepEqual(names(all, { show: "archived" }), ["bee"]);
  assert.deepEqual(names(all, { find: "aNT" }), ["Ant"]);
});

test("the goal whose verdict needs a decision stands for the experiment", () => {
  const goals = [goal("a", "keep_collecting"), goal("b", "winner"), goal("c", "loser", { role: "secondary" })];
  assert.equal(decidingGoal(named("x", { goals, primary_goal: "a" })).goal, "b");
  assert.equal(decidingGoal(named("x")), undefined);
  const decided = named("decided", { goals, primary_goal: "a" });
  assert.deepEqual(names([named("none"), decided], { sort: "verdict" }), ["decided", "none"]);
});

test("the row that stands for a goal is the verdict's, or the likeliest to be best", () => {
  const row = (label, chance) => ({ label, chance_to_be_best: chance, lift_interval_always_valid: [0, 1] });
  const results = [{ label: "base", chance_to_be_best: 0.9, lift_interval_always_valid: null }, row("x", 0.04), row("y", 0.06)];
  assert.equal(challenger(goal("g", "keep_collecting", { results })).label, "y");
  assert.equal(challenger(goal("g", "loser", { results, verdict: { state: "loser", variant: "x" } })).label, "x");
  assert.equal(challenger(undefined), undefined);
});

test("a repeated goal without samples of visitors has no verdict", () => {
  assert.equal(stateOfGoal(goal("g", "keep_collecting", { kind: "total" })), "no_verdict");
  assert.equal(stateOfGoal(goal("g", "keep_collecting", { kind: "total", samples: 64 })), "keep_collecting");
});

test("goals are ordered by role, then by name, after the goal that the overview shows", () => {
  const goals = [
    goal("step 10", "winner", { role: "secondary" }), goal("step 9", "winner", { role: "secondary" }),
    goal("refund", "winner", { role: "guardrail" }), goal("a", "winner"), goal("b", "winner"),
  ];
  const order = goalsInOrder(named("x", { goals, primary_goal: "b" })).map((each) => each.goal);
  assert.deepEqual(order, ["b", "a", "refund", "step 9", "step 10"]);
});

test("the baseline is the first row, and the others are ordered by name", () => {
  const results = ["arm 10", "zero", "arm 9"].map((label) => ({ label }));
  const rows = rowsInOrder(named("x", { baseline: "zero" }), goal("g", "winner", { results }));
  assert.deepEqual(rows.map((each) => each.label), ["zero", "arm 9", "arm 10"]);
});
