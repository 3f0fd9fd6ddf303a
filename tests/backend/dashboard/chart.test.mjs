// Lines over time: round ticks, thinning, the range of the later half, and gaps.

import assert from "node:assert/strict";
import { test } from "node:test";

import { partsOf, rangeOf, thinnedOut, ticksBetween, timesBetween } from "../../../gimel/backend/dashboard/chart.mjs";

const HOUR = 3600e3;
const DAY = 24 * HOUR;

/** @param {(number | null)[]} values */
const seriesOf = (values, interval = null) =>
  ({ label: "a", style: "base", isShown: true, hasBand: true, values: values.map((value, at) => ({ at, value, interval })) });

test("ticks are round, inside the ends, and few", () => {
  assert.deepEqual(ticksBetween(-0.12, 0.34), [-0.1, 0, 0.1, 0.2, 0.30000000000000004]);
  assert.deepEqual(ticksBetween(0, 1000), [0, 200, 400, 600, 800, 1000]);
  for (let size = 1e-5; size < 1e7; size *= 1.7) {
    const ticks = ticksBetween(-size, size * 2.3);
    assert.ok(ticks.length >= 2 && ticks.length <= 6, `${ticks.length} ticks at ${size}`);
    assert.ok(ticks.includes(0) && !ticks.some((tick) => Object.is(tick, -0)));
    assert.ok(ticks.every((tick) => tick >= -size * 1.001 && tick <= size * 2.301));
  }
});

test("times are midnights, or full hours of a short history", () => {
  const from = Date.UTC(2026, 10, 1, 15, 14);
  const days = timesBetween(from, from + 14 * DAY);
  assert.ok(days.every((time) => time % DAY === 0));
  assert.ok(days.length > 3 && days.length <= 8);
  const hours = timesBetween(from, from + 5 * HOUR);
  assert.deepEqual(hours.map((time) => (time - Date.UTC(2026, 10, 1)) / HOUR), [16, 17, 18, 19, 20]);
  for (let length = HOUR; length < 1000 * DAY; length *= 1.5) {
    assert.ok(timesBetween(from, from + length).length <= 9, `${length / DAY} days`);
  }
  assert.deepEqual(timesBetween(from, from + 60e3), []);
});

test("thinning keeps the last moment, the first one after each gap, and the one before it", () => {
  const moments = Array.from({ length: 1000 }, (_, at) => ({ at, isAfterGap: at === 501 }));
  const kept = thinnedOut(moments, 100).map(({ at }) => at);
  assert.ok(kept.length >= 100 && kept.length <= 103);
  for (const at of [500, 501, 999]) assert.ok(kept.includes(at));
  assert.equal(thinnedOut(moments, 1000).length, 1000);
  assert.deepEqual(thinnedOut([], 10), []);
});

test("the range is that of the later half, without zero of all but the first eighth, with room around it", () => {
  const [low, high] = rangeOf([seriesOf([9, 9, 0.1, 0.2])], true);
  assert.ok(low < 0 && low > -0.05 && high > 0.2 && high < 0.25);
  const [least, most] = rangeOf([seriesOf([9, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2])]);
  assert.ok(least < 0.1 && least > 0.05 && most > 0.4 && most < 0.45);
  assert.ok(rangeOf([seriesOf([1, 2])], true)[0] < 0);
  const [lowest, highest] = rangeOf([seriesOf([0.1, 0.1], [-0.5, 0.7])], true);
  assert.ok(lowest < -0.5 && highest > 0.7);
});

test("a range is never empty, whatever there is to show", () => {
  for (const values of [[], [null], [0, 0], [5, 5], [-3]]) {
    const [low, high] = rangeOf([seriesOf(values)], true);
    assert.ok(Number.isFinite(low) && Number.isFinite(high) && low < high, `${values}`);
    const [lowest, highest] = rangeOf([seriesOf(values)]);
    assert.ok(Number.isFinite(lowest) && Number.isFinite(highest) && lowest < highest, `${values}`);
  }
});

test("a line has a gap where a value or a snapshot is missing", () => {
  const values = [1, 2, null, 3, 4, 5].map((value, at) => ({ at, value, isAfterGap: at === 4 }));
  assert.deepEqual(partsOf(values).map((part) => part.map(({ value }) => value)), [[1, 2], [3], [4, 5]]);
  assert.deepEqual(partsOf([]), []);
});
