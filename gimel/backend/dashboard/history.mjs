// @ts-check
// The history of an experiment, for one of its goals: what each snapshot says, as charts and a table.

import { DAY, HOUR, lineChart, rangeOf, swatch, thinnedOut } from "./chart.mjs";
import { bdi, h, later, span } from "./dom.mjs";
import { inOrder, leaderOf } from "./experiments.mjs";
import { extraOf } from "./extras.mjs";
import {
  amount, count, DASH, lift, liftRange, longUtcDay, number, plural, RATE_NAMES, rateFormat, SIGNED, utcTime,
} from "./format.mjs";
import { VERDICTS } from "./parts.mjs";
import { explainedHead } from "./tips.mjs";
import { viewKey } from "./view.mjs";
/** @import { Child, Experiment, Goal, History, HistoryRow, Line, Mark, Moment, Point, View } from "./types.d.ts" */

// Daily snapshots are a day apart, give or take some hours. What is farther apart misses one.
const LONGEST_STEP = 1.5 * DAY;
// The snapshots of so many days are an hour apart.
const HOURLY = 10 * DAY;
// Variants that are shown at first, and intervals that can be told apart
const SHOWN = 6;
const BANDS = 3;
// More points than this are closer than a pixel.
const POINTS = 400;
const COLOURS = 7;

/**
 * Return the points of a history. The first one is the start of the experiment, where that is known.
 * A point is after a gap if a day's snapshot is missing before it, and after a missed hour if that is
 * known. While nothing is counted, two snapshots stand for all between, so that is no gap.
 * @param {History} history
 * @param {string | null} begun
 * @returns {Point[]}
 */
export function pointsOf({ snapshots }, begun) {
  /** @type {Point[]} */
  const points = [];
  const [first, last] = [snapshots[0], snapshots[snapshots.length - 1]].map(({ time }) => Date.parse(time));
  const start = begun ? Date.parse(begun) : -Infinity;
  if (start < first && first - start <= LONGEST_STEP) points.push({ at: start, rows: new Map(), isAfterGap: false, isAfterMissedHour: false });
  for (const { time, variants } of snapshots) {
    const before = points.at(-1);
    const at = Date.parse(time);
    const isSame = variants.every(({ label, trials, successes }) => {
      const old = before?.rows.get(label);
      return old?.trials === trials && old.successes === successes;
    });
    const step = before && !isSame ? at - before.at : 0;
    points.push({
      at,
      rows: new Map(variants.map((row) => [row.label, row])),
      isAfterGap: step > LONGEST_STEP,
      isAfterMissedHour: step > 1.5 * HOUR && last - at + step < HOURLY,
    });
  }
  return points;
}

/** @param {number} at */
const dayOf = (at) => Math.floor(at / DAY);

/**
 * Return the last point of each day, or all if the days are few.
 * @param {Point[]} points
 */
export function dailyOf(points) {
  const days = new Map(points.map((point) => [dayOf(point.at), point]));
  return days.size > 2 ? [...days.values()] : points;
}

/**
 * Return the visitors until a time, from the snapshots before and after it. Null if one is missing.
 * @param {Point[]} points
 * @param {number} time
 * @param {string} label
 */
function visitorsUntil(points, time, label) {
  /** @param {Point} point */
  const visitors = ({ rows }) => rows.get(label)?.trials ?? 0;
  const index = points.findIndex(({ at }) => at >= time);
  if (index < 0) return visitors(points[points.length - 1]);
  const [before, after] = [points[index - 1], points[index]];
  const now = visitors(after);
  if (after.at === time || (!before && !now)) return now;
  if (!before || after.isAfterGap) return null;
  return now - ((after.at - time) / (after.at - before.at)) * (now - visitors(before));
}

/**
 * Return a variant's visitors on each UTC day, which stands at its noon. The last day is not over.
 * @param {Point[]} points
 * @param {string} label
 * @returns {Moment[]}
 */
export function visitorsPerDay(points, label) {
  const [from, to] = [points[0].at, points[points.length - 1].at];
  return Array.from({ length: dayOf(to) - dayOf(from) + 1 }, (_, index) => {
    const start = (dayOf(from) + index) * DAY;
    const [low, high] = [start, start + DAY].map((time) => visitorsUntil(points, time, label));
    const value = low === null || high === null ? null : Math.max(0, Math.round(high - low));
    // So it is a dot of its own.
    return { at: Math.max(from, Math.min(to, start + DAY / 2)), value, isAfterGap: start + DAY > to };
  });
}

// What the reader chose to show or to hide
/** @type {Map<string, boolean>} */
const chosenLines = new Map();

/**
 * @param {View} view
 * @param {string} label
 */
const lineKey = (view, label) => viewKey(view) + label;

/**
 * Show or hide a variant in the charts.
 * @param {View} view
 * @param {string} label
 * @param {boolean} isShown
 */
export const chooseLine = (view, label, isShown) => chosenLines.set(lineKey(view, label), isShown);

/**
 * Return the line of each variant, and whether it is shown: at first the baseline, the leader, and
 * some others. All lines differ in colour or dashes.
 * @param {Experiment} experiment
 * @param {string | undefined} leader
 * @param {View} view
 * @returns {Line[]}
 */
function linesOf(experiment, leader, view) {
  const labels = inOrder(experiment, experiment.variants.filter(({ stray }) => !stray)).map(({ label }) => label);
  const first = [...new Set([labels[0], leader ?? labels[0], ...labels])].slice(0, SHOWN);
  return labels.map((label, index) => ({
    label,
    style: index ? `c${(index - 1) % COLOURS} d${Math.floor((index - 1) / COLOURS)}` : "first",
    isShown: chosenLines.get(lineKey(view, label)) ?? first.includes(label),
  }));
}

/**
 * Create the section of the history. It is built anew only when its content changes.
 * @param {Experiment} experiment
 * @param {Goal | undefined} goal
 * @param {View} view
 */
export function historySection(experiment, goal, view) {
  const answer = extraOf("history", experiment, goal, view);
  if (answer?.isUnknown) return null;
  const leader = leaderOf(goal)?.label;
  const lines = linesOf(experiment, leader, view);
  return later("section", "history", JSON.stringify([answer?.at, goal?.goal, leader, lines]), () =>
    h("section", { class: "card history", "data-key": "history", "aria-labelledby": "history" },
      h("h2", { id: "history" }, "History"),
      answer?.data ? historyParts(answer.data, experiment, goal, lines)
        : h("p", { class: "soft" }, answer ? "Not here yet. Trying again in a minute." : "Loading")));
}

/**
 * @param {History} history
 * @param {Experiment} experiment
 * @param {Goal | undefined} goal
 * @param {Line[]} all
 */
function historyParts(history, experiment, goal, all) {
  const snapshots = history.snapshots.length - 1;
  if (!snapshots) return h("p", { class: "soft" }, "No snapshots yet: an experiment that is counted gets one every hour.");
  const points = pointsOf(history, experiment.created_at);
  const frame = { points: thinnedOut(points, POINTS), from: points[0].at, to: points[points.length - 1].at, marks: marksOf(history) };
  const lines = all.filter(({ isShown }) => isShown);
  return [
    legend(all),
    goal && liftChart(goal, lines.filter(({ style }) => style !== "first"), frame),
    lines.length > 0 && h("div", { class: "pair" }, goal && rateChart(goal, lines, frame), dayChart(points, lines, frame)),
    historyTable(points, lines, goal, frame.marks),
    h("p", { class: "soft" }, `${plural(snapshots, "snapshot")}. All times are UTC. Where a snapshot is missing, a line has a gap.`),
  ];
}

/**
 * Return the mark of the recorded verdict.
 * @param {History} history
 * @returns {Mark[]}
 */
export function marksOf({ recorded }) {
  if (!recorded) return [];
  const { state, variant, at } = recorded;
  // A snapshot's time is that of its minute. The verdict that came with it is some seconds later.
  return [{ at: Date.parse(at) - (Date.parse(at) % 60e3), text: `${VERDICTS[state]}${variant && state !== "no_difference" ? `: ${variant}` : ""}` }];
}

/** @param {Line[]} lines */
const legend = (lines) =>
  h("fieldset", { class: "legend" }, h("legend", { class: "unseen" }, "Variants in the charts"),
    lines.map(({ label, style, isShown }) => h("label", { class: "check" },
      h("input", { type: "checkbox", "data-change": "line", value: label, checked: isShown }),
      swatch(style), bdi(label, { class: "cut", title: label }))));

/** @typedef {{ points: Point[], from: number, to: number, marks: Mark[] }} Frame */

/**
 * @param {Line} line
 * @param {Point[]} points
 * @param {(row: HistoryRow) => Partial<Moment>} read
 */
function seriesOf(line, points, read) {
  /** @type {Moment[]} */
  const values = points.map(({ at, rows, isAfterGap, isAfterMissedHour }) => {
    const row = rows.get(line.label);
    return { at, isAfterGap: isAfterGap || isAfterMissedHour, value: null, ...(row?.trials && read(row)) };
  });
  return { ...line, values, hasBand: false };
}

/**
 * @param {Goal} goal
 * @param {Line[]} lines
 * @param {Frame} frame
 */
function liftChart(goal, lines, frame) {
  const one = lines.find(({ label }) => label === leaderOf(goal)?.label) ?? lines[0];
  const series = lines.map((line) => ({
    ...seriesOf(line, frame.points, (row) => ({ value: row.lift, interval: row.lift_interval_always_valid })),
    hasBand: lines.length <= BANDS || line === one,
  }));
  if (!series.some(({ values }) => values.some(({ value }) => value != null))) return null;
  const isKnown = series.some(({ values }) => values.some(({ interval }) => interval));
  const [low, high] = rangeOf(series, true);
  return lineChart({
    id: "lift", title: "Lift", series, low, high, ...frame, time: utcTime,
    note: isKnown ? `The band is the interval that holds however often you look${lines.length > BANDS ? ", of one variant" : ""}.`
      : "Snapshots hold no intervals of this goal.",
    write: number(high - low < 0.05 ? 1 : 0, SIGNED),
    describe: ({ value, interval }) => `${lift(value)}${interval ? ` (${liftRange(interval)})` : ""}`,
  });
}

/**
 * @param {Goal} goal
 * @param {Line[]} lines
 * @param {Frame} frame
 */
function rateChart(goal, lines, frame) {
  const series = lines.map((line) => seriesOf(line, frame.points, ({ rate }) => ({ value: rate })));
  const [low, high] = rangeOf(series);
  const write = rateFormat(goal);
  return lineChart({
    id: "rate", title: RATE_NAMES[goal.kind], series, low: Math.max(0, low), high, ...frame, time: utcTime, write,
    marks: frame.marks.map(({ at }) => ({ at, text: "" })),
    describe: ({ value }) => (value == null ? DASH : write.format(value)),
  });
}

/**
 * @param {Point[]} points
 * @param {Line[]} lines
 * @param {Frame} frame
 */
function dayChart(points, lines, frame) {
  const series = lines.map((line) => ({ ...line, values: visitorsPerDay(points, line.label), hasBand: false }));
  const most = Math.max(1, ...series.flatMap(({ values }) => values.map(({ value }) => value ?? 0)));
  return lineChart({
    id: "days", title: "Visitors per day", note: "The last day is not over.", series, low: 0, high: most * 1.08, ...frame, marks: [],
    time: longUtcDay, write: { format: amount }, describe: ({ value }) => (value == null ? DASH : count(value)),
  });
}

/**
 * @param {Point[]} points
 * @param {Line[]} lines
 * @param {Goal | undefined} goal
 * @param {Mark[]} marks
 */
function historyTable(points, lines, goal, marks) {
  const rows = dailyOf(points.filter(({ rows }) => rows.size));
  const format = goal && rateFormat(goal);
  /** @param {Child[]} texts */
  const cells = (texts) => texts.map((text) => h("td", { class: "number" }, text));
  const body = lines.flatMap(({ label }) => {
    const days = new Map(visitorsPerDay(points, label).map(({ at, value }) => [dayOf(at), value]));
    return rows.map(({ at, rows: found }, index) => {
      const row = found.get(label);
      const interval = row?.lift_interval_always_valid;
      const news = marks.filter((mark) => mark.at <= at && mark.at > (rows[index - 1]?.at ?? 0));
      const ofDay = dayOf(at) !== dayOf(rows[index + 1]?.at ?? 0) && days.get(dayOf(at));
      return h("tr", {},
        h("th", { scope: "row" }, utcTime.format(at), news.map(({ text }) => span("sub", text))),
        h("td", {}, bdi(label, { class: "cut", title: label })),
        cells([Number.isInteger(ofDay) ? count(Number(ofDay)) : DASH, count(row?.trials ?? 0)]),
        format && cells([row?.rate == null ? DASH : format.format(row.rate), lift(row?.lift ?? null), interval ? liftRange(interval) : DASH]));
    });
  });
  const heads = ["Time", "Variant", "That day", "Visitors", ...(goal ? [RATE_NAMES[goal.kind], "Lift", "Lift interval"] : [])];
  return h("details", { class: "more" }, h("summary", {}, "History as a table"),
    h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "History as a table" },
      h("table", {},
        h("thead", {}, h("tr", {}, heads.map((head, index) => h("th", { scope: "col", class: index > 1 && "number" }, index > 1 ? explainedHead(head) : head)))),
        h("tbody", {}, body))));
}
