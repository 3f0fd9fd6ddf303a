// The scale of the intervals: its reach, its ticks, and where a lift is on it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { scaleOf, sideOf, xOf } from "../../../gimel/backend/dashboard/plot.mjs";

test("a scale has room for every interval, up to ±100 %", () => {
  const { reach, ticks } = scaleOf([[-0.05, 0.1], [0, 0.2]]);
  assert.ok(reach > 0.2 && reach < 0.22);
  assert.deepEqual(ticks, [0, -0.1, 0.1]);
  assert.ok(scaleOf([[-0.5, 40]]).reach < 1.1);
});

test("ticks stay inside the scale and are symmetric round numbers", () => {
  for (let width = 0.0004; width < 3; width *= 1.3) {
    const { reach, ticks, digits } = scaleOf([[-width, width / 2]]);
    assert.ok(ticks.length >= 3 && ticks.length <= 9, `${ticks.length} ticks at ${width}`);
    assert.equal(ticks[0], 0);
    for (const tick of ticks.slice(1)) {
      assert.ok(Math.abs(tick) < reach);
      assert.ok(ticks.includes(-tick));
    }
    assert.equal(digits, Math.max(...ticks) < 0.01 ? 1 : digits);
  }
});

test("one wide interval does not flatten the others, where only a share must fit", () => {
  const narrow = [[-0.02, 0.02], [-0.01, 0.03], [-0.02, 0.01]];
  assert.ok(scaleOf([...narrow, [-0.9, 0.9]], 0.75).reach < 0.04);
});

test("without intervals there is only zero", () => {
  assert.deepEqual(scaleOf([]), { reach: 1, ticks: [0], digits: 0 });
  assert.ok(scaleOf([[0, 0]]).reach > 0);
});

test("zero is in the middle, and what is beyond the scale at its edge", () => {
  const scale = scaleOf([[-0.1, 0.1]]);
  assert.equal(xOf(0, scale), "50.000%");
  assert.equal(xOf(5, scale), "100.000%");
  assert.equal(xOf(-5, scale), "0.000%");
  assert.equal(xOf(scale.reach / 2, scale), "75.000%");
});

test("an interval is on one side of zero, or open", () => {
  assert.equal(sideOf([0.01, 0.2]), "up");
  assert.equal(sideOf([-0.2, -0.01]), "down");
  assert.equal(sideOf([-0.1, 0.1]), "open");
  assert.equal(sideOf([0, 0.1]), "open");
});
