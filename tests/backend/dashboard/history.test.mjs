// What snapshots say: where there are gaps, and how many visitors came on each day.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dailyOf, marksOf, pointsOf, visitorsPerDay } from "../../../gimel/backend/dashboard/history.mjs";

const HOUR = 3600e3;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 10, 1);

/** @param {number} at */
const timeOf = (at) => new Date(at).toISOString();

/**
 * Return the points of snapshots, as hours and visitors.
 * @param {[number, number][]} snapshots
 */
const points = (snapshots, begun = null) => pointsOf({
  goal: "g", baseline: "a", recorded: null,
  snapshots: snapshots.map(([hour, trials]) => ({
    time: timeOf(START + hour * HOUR),
    variants: [{ label: "a", trials, successes: 0, rate: 0, lift: null, lift_interval_always_valid: null }],
  })),
}, begun);

/** @param {ReturnType<typeof points>} given */
const perDay = (given) => visitorsPerDay(given, "a").map(({ value }) => value);

test("a missing day is a gap, an hour more or less is not", () => {
  assert.deepEqual(points([[0, 1], [24, 2], [49, 3], [97, 4]]).map(({ isAfterGap }) => isAfterGap),
    [false, false, false, true]);
});

test("a missed hour of the last ten days is a gap in a line", () => {
  const missed = (/** @type {[number, number][]} */ given) => points(given).map(({ isAfterMissedHour }) => isAfterMissedHour);
  assert.deepEqual(missed([[0, 1], [1, 2], [3, 3], [4, 3], [9, 3]]), [false, false, true, false, false]);
  assert.deepEqual(missed([[0, 1], [24, 2], [264, 2], [265, 3]]), [false, false, false, false]);
});

test("where nothing was counted, two snapshots stand for all between", () => {
  assert.deepEqual(points([[0, 7], [240, 7], [480, 8]]).map(({ isAfterGap }) => isAfterGap), [false, false, true]);
  assert.deepEqual(perDay(points([[0, 7], [96, 7]])).slice(0, 4), [0, 0, 0, 0]);
});

test("visitors of a day are the difference between its midnights", () => {
  assert.deepEqual(perDay(points([[0, 100], [24, 150], [48, 250], [54, 260]])), [50, 100, 10]);
});

test("between two snapshots less than a day apart, visitors are spread evenly", () => {
  assert.deepEqual(perDay(points([[12, 0], [36, 240], [48, 300]])), [120, 180, 0]);
});

test("days without snapshots are a gap", () => {
  assert.deepEqual(perDay(points([[0, 0], [23, 23], [100, 1000], [120, 1200]])), [null, null, null, null, null, 0]);
});

test("the first day is known only if the start is", () => {
  const begun = timeOf(START + 6 * HOUR);
  assert.deepEqual(perDay(points([[12, 60], [24, 180]], begun)), [180, 0]);
  assert.deepEqual(perDay(points([[12, 60], [24, 180]])), [null, 0]);
  // It began long before the first snapshot: an earlier version kept no history.
  assert.deepEqual(perDay(points([[12, 60], [24, 180]], timeOf(START - 9 * DAY))), [null, 0]);
});

test("a count that an estimate lowers is no negative day", () => {
  assert.deepEqual(perDay(points([[0, 100], [24, 99], [48, 120]])), [0, 21, 0]);
});

test("the last day is not over, so it stands alone", () => {
  const days = visitorsPerDay(points([[0, 0], [24, 10], [30, 14]]), "a");
  assert.deepEqual(days.map(({ isAfterGap }) => isAfterGap), [false, true]);
  assert.equal(days[0].at, START + DAY / 2);
  assert.equal(days[1].at, START + 30 * HOUR);
});

test("the table has a point for each day, or all of two days", () => {
  const long = points(Array.from({ length: 100 }, (_, hour) => [hour, hour]));
  assert.deepEqual(dailyOf(long).map(({ at }) => (at - START) / HOUR), [23, 47, 71, 95, 99]);
  assert.equal(dailyOf(points([[0, 1], [1, 2], [30, 3]])).length, 3);
});

test("a verdict is marked at the snapshot that recorded it", () => {
  const recorded = { state: "winner", variant: "b", at: timeOf(START + 59e3) };
  assert.deepEqual(marksOf({ recorded }), [{ at: START, text: "Winner: b" }]);
});
