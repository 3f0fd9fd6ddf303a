// @ts-check
// Plots of lift intervals around zero. All rows of a table share one scale.

import { h, span } from "./dom.mjs";
import { lift, number, percent, SIGNED } from "./format.mjs";
import { explained } from "./tips.mjs";
/** @import { Interval, Scale } from "./types.d.ts" */

// An interval beyond ±100 % only shows that there is little data. It ends in an arrow.
const MAX_REACH = 1;

/**
 * Return a scale for these intervals: its reach to either side, and its ticks.
 * @param {Interval[]} intervals
 * @param {number} [share]
 */
export function scaleOf(intervals, share = 1) {
  const ends = intervals.map(([low, high]) => Math.max(Math.abs(low), Math.abs(high))).sort((a, b) => a - b);
  if (!ends.length) return { reach: 1, ticks: [0], digits: 0 };
  const largest = ends[Math.ceil(ends.length * share) - 1] || 0.1;
  const reach = Math.min(MAX_REACH, largest) * 1.06;
  const step = roundDown(reach * 0.82);
  const marks = [];
  for (let at = step; at < reach * 0.84; at += step) marks.push(-at, at);
  return { reach, ticks: [0, ...marks], digits: step < 0.01 ? 1 : 0 };
}

/** @param {number} value */
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([5, 2].find((factor) => factor * power <= value) ?? 1);
}

/**
 * Return the position of a lift, in % of the width.
 * @param {number} value
 * @param {Scale} scale
 */
export const xOf = (value, { reach }) => `${(50 + 50 * Math.max(-1, Math.min(1, value / reach))).toFixed(3)}%`;

/**
 * Return the side of zero that an interval is on. Colour and mark both show it.
 * @param {Interval} interval
 */
export const sideOf = ([low, high]) => (low > 0 ? "up" : high < 0 ? "down" : "open");

const SIDES = { up: "all above zero", down: "all below zero", open: "zero is inside" };

const MARKS = {
  up: "M-7 5 0-7 7 5z",
  down: "M-7-5 0 7 7-5z",
  open: "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0",
};

/** @param {Scale} scale */
function grid(scale) {
  return scale.ticks.map((tick) => {
    const x = xOf(tick, scale);
    return h("line", { class: tick ? "grid" : "zero", x1: x, x2: x, y1: "0%", y2: "100%" });
  });
}

/**
 * Plot one row: the interval, its ends, and the lift as a mark that shows the side.
 * @param {Interval | null} interval
 * @param {number | null} value
 * @param {Scale} scale
 */
export function plot(interval, value, scale) {
  if (!interval) return h("svg", { class: "plot", "aria-hidden": "true" }, grid(scale));
  const side = sideOf(interval);
  const label = `Lift between ${lift(interval[0])} and ${lift(interval[1])}: ${SIDES[side]}`;
  const [left, right] = interval.map((end) => xOf(end, scale));
  const line = h("line", { class: "reach", x1: left, x2: right, y1: "50%", y2: "50%" });
  const isVisible = value != null && Math.abs(value) <= scale.reach;
  return h("svg", { class: "plot", role: "img", "aria-label": label }, grid(scale),
    h("svg", { class: side }, line, interval.map((end) => endOf(end, scale)),
      isVisible && placeAt(value, scale, h("path", { class: "mark", d: MARKS[side] }))));
}

/**
 * @param {number} end
 * @param {Scale} scale
 */
function endOf(end, scale) {
  const beyond = Math.abs(end) > scale.reach;
  const d = beyond ? (end > 0 ? "m-5-5 5 5-5 5" : "m5-5-5 5 5 5") : "M0-6V6";
  return placeAt(end, scale, h("path", { d }));
}

/**
 * @param {number} value
 * @param {Scale} scale
 * @param {Node} shape
 */
const placeAt = (value, scale, shape) => h("svg", { x: xOf(value, scale), y: "50%", overflow: "visible" }, shape);

/**
 * Plot the numbers of the scale, for the head of its column.
 * @param {Scale} scale
 */
function axis(scale) {
  /** @param {number} tick */
  const write = (tick) => number(scale.digits, SIGNED).format(tick);
  return h("svg", { class: "axis", "aria-hidden": "true" },
    scale.ticks.map((tick) => h("text", { x: xOf(tick, scale), y: "80%" }, tick ? write(tick) : percent(0))));
}

/**
 * Plot a share as a bar.
 * @param {number | null} share
 */
export function bar(share) {
  return h("svg", { class: "share", "aria-hidden": "true" },
    h("rect", { class: "whole", width: "100%", height: "100%", rx: 2 }),
    h("rect", { class: "part", width: `${((share ?? 0) * 100).toFixed(1)}%`, height: "100%", rx: 2 }));
}

/** @param {Scale} scale */
export const intervalHead = (scale) =>
  h("th", { role: "columnheader", scope: "col", class: "wide" },
    h("button", { class: "tip", type: "button", ...explained("Lift interval") }, span("unseen", "Lift interval"), axis(scale)));
