// Numbers and times in words. `node --test` runs this with the locale of the machine, so figures
// are compared with those of its Intl.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../../gimel/backend/dashboard/format.mjs";

const shown = (value, digits, options = {}) => new Intl.NumberFormat(undefined, {
  minimumFractionDigits: digits, maximumFractionDigits: digits, ...options,
}).format(value);
const asPercent = (value, digits = 0) => shown(value, digits, { style: "percent" });
const asLift = (value, digits) => shown(value, digits, { style: "percent", signDisplay: "exceptZero" });

test("a lift has the digits that its size allows", () => {
  assert.equal(format.lift(0.0516), asLift(0.0516, 1));
  assert.equal(format.lift(-0.2), asLift(-0.2, 1));
  assert.equal(format.lift(1.237), asLift(1.237, 0));
  assert.equal(format.lift(11), `more than ${asLift(10, 0)}`);
  assert.equal(format.lift(null), "–");
});

test("a range of lifts beyond all reason is one bound", () => {
  assert.equal(format.liftRange([-0.1, 0.25]), `${asLift(-0.1, 1)} to ${asLift(0.25, 1)}`);
  assert.equal(format.liftRange([12, 80]), `more than ${asLift(10, 0)}`);
});

test("no chance is 0 % or 100 %", () => {
  assert.equal(format.chance(0.9999), `> ${asPercent(0.99)}`);
  assert.equal(format.chance(0.001), `< ${asPercent(0.01)}`);
  assert.equal(format.chance(0.5), asPercent(0.5));
  assert.equal(format.chance(null), "–");
});

test("a small p-value has a bound, and a large one two digits", () => {
  assert.equal(format.pValue(0.00001), `< ${shown(0.0001, 4)}`);
  assert.equal(format.pValue(0.0123), shown(0.0123, 4));
  assert.equal(format.pValue(0.5), shown(0.5, 2));
});

test("a duration is in its largest whole unit", () => {
  assert.equal(format.duration(1), "1 second");
  assert.equal(format.duration(119), "1 minute");
  assert.equal(format.duration(3 * 86400 + 7), "3 days");
});

test("an age is in words", () => {
  assert.equal(format.age(Date.now() - 5_000), "just now");
  assert.equal(format.age(Date.now() - 2 * 3_600_000 - 1), "2 hours ago");
});

test("rates have only the digits that their intervals allow", () => {
  const goal = (kind, ...intervals) => ({ kind, results: intervals.map((each) => ({ rate_interval: each })) });
  const digitsOf = (each) => format.rateFormat(each).resolvedOptions().maximumFractionDigits;
  assert.equal(digitsOf(goal("unique", [0.1, 0.3], null)), 0);
  assert.equal(digitsOf(goal("unique", [0.1, 0.104])), 2);
  assert.equal(digitsOf(goal("unique", [0.1, 0.1])), 1);
  assert.equal(digitsOf(goal("value", [3.1, 3.5])), 2);
});

test("an amount has decimals only while it is small", () => {
  assert.equal(format.amount(12.5), shown(12.5, 2));
  assert.equal(format.amount(1234.56), shown(1235, 0));
  assert.equal(format.amount(7), shown(7, 0));
});
