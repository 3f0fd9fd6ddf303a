// @ts-check
// Charts of lines over time. All positions are shares of the width and height, so a chart fits any
// screen without a script. Times are UTC, like the days of the history.

import { bdi, byId, h, span } from "./dom.mjs";
import { utcDay, utcHour } from "./format.mjs";
/** @import { Chart, Interval, Mark, Moment, Series } from "./types.d.ts" */

export const HOUR = 3600e3;
export const DAY = 24 * HOUR;

/**
 * Return round values between two ends.
 * @param {number} low
 * @param {number} high
 * @param {number} [most]
 */
export function ticksBetween(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const number = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: number }, (_, index) => (first + index) * step || 0);
}

/**
 * Return round times between two ends: full hours of short histories, else midnights.
 * @param {number} from
 * @param {number} to
 * @param {number} [most]
 */
export function timesBetween(from, to, most = 8) {
  const steps = [1, 3, 6, 12, 24, 48, 7 * 24, 14 * 24, 28 * 24, 56 * 24, 112 * 24];
  const step = HOUR * (steps.find((hours) => (to - from) / (hours * HOUR) <= most) ?? 365 * 24);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, index) => first + index * step);
}

/**
 * Return at most so many of the moments, evenly spread. The last one stays, and so does each gap.
 * @template {{ isAfterGap?: boolean }} T
 * @param {T[]} moments
 * @param {number} most
 * @returns {T[]}
 */
export function thinnedOut(moments, most) {
  const step = Math.ceil(moments.length / most);
  const last = moments.length - 1;
  return moments.filter((moment, index) =>
    (last - index) % step === 0 || moment.isAfterGap || moments[index + 1]?.isAfterGap);
}

/**
 * Return the range of what the later half of the moments shows, with zero if that is wanted. The first
 * intervals are many times as wide, and would flatten all that follows. They reach beyond the chart.
 * Without zero, there are no intervals: all but the first eighth counts.
 * @param {Series[]} series
 * @param {boolean} [hasZero]
 * @returns {Interval}
 */
export function rangeOf(series, hasZero) {
  const ends = series.flatMap(({ values, hasBand }) => values.slice(values.length >> (hasZero ? 1 : 3))
    .flatMap(({ value, interval }) => (interval && hasBand ? [...interval, value] : [value])))
    .filter((end) => end != null);
  if (!ends.length) return [0, 1];
  const low = Math.min(...ends, ...(hasZero ? [0] : []));
  const high = Math.max(...ends, ...(hasZero ? [0] : []));
  const room = (high - low) * 0.08 || Math.abs(high) * 0.5 || 1;
  return [low - room, high + room];
}

/**
 * Return the parts of a line that have no gap inside.
 * @param {Moment[]} values
 * @returns {Moment[][]}
 */
export function partsOf(values) {
  /** @type {Moment[][]} */
  const parts = [[]];
  for (const each of values) {
    if (each.isAfterGap || each.value == null) parts.push([]);
    if (each.value != null) parts[parts.length - 1].push(each);
  }
  return parts.filter((part) => part.length);
}

// Charts in view, by their id
/** @type {Map<string, Chart>} */
const charts = new Map();

/**
 * Create a chart. The pointer and the arrow keys move along its times, and show the values there.
 * @param {Chart} chart
 */
export function lineChart(chart) {
  charts.set(chart.id, chart);
  const { id, title, note, series, low, high, from, to } = chart;
  return h("figure", { class: `chart ${id}` },
    h("figcaption", {}, h("h3", {}, title), note && span("soft", note)),
    h("div", {
      class: "area", id: `chart-${id}`, "data-chart": id, role: "slider", tabindex: 0, "aria-label": `${title}, by time`,
      "aria-valuemin": 0, "aria-valuemax": timesOf(chart).length - 1, ...valueAt(chart, timesOf(chart).length - 1),
    },
      h("svg", { class: "lines", "aria-hidden": "true" },
        ticksBetween(low, high).map((tick) => valueLine(tick, chart)),
        timesBetween(from, to).map((time, index) => timeLine(time, index, chart)),
        h("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", width: "100%", height: "100%" },
          series.filter(({ hasBand }) => hasBand).map((each) => paths(each, bandOf, "band", chart)),
          series.map((each) => paths(each, lineOf, "line", chart))),
        chart.marks.filter(({ at }) => at >= from && at <= to).map((mark) => markLine(mark, chart)),
        h("svg", { class: "cursor", width: "100%", height: "100%" })),
      h("div", { class: "readout", "aria-hidden": "true" })));
}

/** @param {Chart} chart */
const timesOf = ({ series }) => series[0]?.values.map(({ at }) => at) ?? [];

/**
 * @param {number} at
 * @param {Chart} chart
 */
const xAt = (at, { from, to }) => Math.max(0, Math.min(1, (at - from) / (to - from || 1)));
/**
 * @param {number} value
 * @param {Chart} chart
 */
const yAt = (value, { low, high }) => (high - value) / (high - low);
/** @param {number} part */
const share = (part) => `${(100 * part).toFixed(2)}%`;

/**
 * @param {number} tick
 * @param {Chart} chart
 */
function valueLine(tick, chart) {
  const y = share(yAt(tick, chart));
  return [h("line", { class: tick ? "grid" : "zero", x1: 0, x2: "100%", y1: y, y2: y }),
    h("text", { class: "value", x: 0, y, dx: "-.6em", dy: ".35em" }, chart.write.format(tick))];
}

/**
 * @param {number} time
 * @param {number} index
 * @param {Chart} chart
 */
function timeLine(time, index, chart) {
  const x = share(xAt(time, chart));
  const isDay = time % DAY === 0;
  return h("text", { class: `time ${index % 2 ? "odd" : ""}`, x, y: "100%", dy: "1.5em" }, (isDay ? utcDay : utcHour).format(time));
}

/**
 * @param {Mark} mark
 * @param {Chart} chart
 */
function markLine({ at, text }, chart) {
  const x = xAt(at, chart);
  const [anchor, dx] = x > 0.5 ? ["end", "-.5em"] : ["start", ".5em"];
  return [h("line", { class: "decided", x1: share(x), x2: share(x), y1: 0, y2: "100%" }),
    text && h("text", { class: "decided", x: share(x), y: "1em", dx, "text-anchor": anchor }, text)];
}

/**
 * @param {Series} series
 * @param {(part: Moment[], place: (at: number, value: number) => string) => string} draw
 * @param {string} kind
 * @param {Chart} chart
 */
function paths({ style, values }, draw, kind, chart) {
  /**
   * @param {number} at
   * @param {number} value
   */
  const place = (at, value) => `${(1000 * xAt(at, chart)).toFixed(1)} ${(1000 * yAt(value, chart)).toFixed(1)}`;
  return partsOf(values).map((part) => h("path", { class: `${kind} ${style} ${part.length > 1 ? "" : "dot"}`, d: draw(part, place) }));
}

// A part of one value is a dot: a line of no length, with round ends.
/**
 * @param {Moment[]} part
 * @param {(at: number, value: number) => string} place
 */
const lineOf = (part, place) => `M${part.map(({ at, value }) => place(at, value ?? 0)).join("L")}h0`;

/**
 * @param {Moment[]} part
 * @param {(at: number, value: number) => string} place
 */
function bandOf(part, place) {
  const known = part.filter(({ interval }) => interval);
  /** @param {0 | 1} end */
  const along = (end) => known.map(({ at, interval }) => place(at, /** @type {Interval} */ (interval)[end]));
  return known.length > 1 ? `M${[...along(1), ...along(0).reverse()].join("L")}z` : "";
}

/** @param {string} style */
export const swatch = (style) =>
  h("svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" }, h("path", { class: `line ${style}`, d: "M2 4H22" }));

/**
 * Return the attributes that say the values at one of the times.
 * @param {Chart} chart
 * @param {number} index
 */
function valueAt(chart, index) {
  const values = chart.series.map(({ label, values }) => `${label} ${chart.describe(values[index])}`);
  const at = timesOf(chart)[index];
  return { "aria-valuenow": index, "aria-valuetext": `${chart.time.format(at)}: ${values.join("; ")}` };
}

/**
 * Show the values at one of the times of a chart, or none.
 * @param {Chart} chart
 * @param {number | null} index
 */
function showValues(chart, index) {
  const area = byId(`chart-${chart.id}`);
  const [cursor, readout] = [area.querySelector(".cursor"), area.querySelector(".readout")];
  cursor.replaceChildren();
  readout.replaceChildren();
  if (index === null) return;
  for (const [name, value] of Object.entries(valueAt(chart, index))) area.setAttribute(name, value);
  const at = timesOf(chart)[index];
  const x = share(xAt(at, chart));
  cursor.append(h("line", { x1: x, x2: x, y1: 0, y2: "100%" }));
  for (const { style, values: { [index]: { value } } } of chart.series) {
    const y = value == null ? -1 : yAt(value, chart);
    if (y >= 0 && y <= 1) cursor.append(h("circle", { class: style, cx: x, cy: share(y), r: 4 }));
  }
  readout.className = `readout ${xAt(at, chart) < 0.5 ? "right" : ""}`;
  readout.append(h("strong", {}, chart.time.format(at)),
    ...chart.series.map(({ label, style, values }) =>
      h("div", {}, swatch(style), bdi(label, { class: "cut" }), span("number", chart.describe(values[index])))));
}

/**
 * Return the index of the time that is nearest to a share of the width.
 * @param {Chart} chart
 * @param {number} x
 */
function nearest(chart, x) {
  const times = timesOf(chart);
  const distances = times.map((at) => Math.abs(xAt(at, chart) - x));
  return distances.indexOf(Math.min(...distances));
}

/** @type {Record<string, (now: number, last: number) => number>} */
const MOVES = {
  ArrowLeft: (now) => now - 1,
  ArrowRight: (now) => now + 1,
  Home: () => 0,
  End: (_, last) => last,
};

/** Let the pointer and the keyboard move along the charts of the page. */
export function listenToCharts() {
  /** @param {any} event */
  const areaOf = ({ target }) => target.closest?.("[data-chart]");
  /** @param {any} area */
  const chartOf = (area) => /** @type {Chart} */ (charts.get(area.dataset.chart));
  document.addEventListener("pointermove", (event) => {
    const area = areaOf(event);
    if (!area) return;
    const { left, width } = area.querySelector(".lines").getBoundingClientRect();
    showValues(chartOf(area), nearest(chartOf(area), (event.clientX - left) / width));
  });
  for (const kind of ["pointerout", "focusout"]) {
    document.addEventListener(kind, (/** @type {any} */ event) => {
      const area = areaOf(event);
      if (area && !area.contains(event.relatedTarget)) showValues(chartOf(area), null);
    });
  }
  document.addEventListener("focusin", (event) => {
    const area = areaOf(event);
    if (area?.matches(":focus-visible")) showValues(chartOf(area), Number(area.getAttribute("aria-valuenow")));
  });
  document.addEventListener("keydown", (event) => {
    const area = areaOf(event);
    const move = MOVES[event.key];
    if (!area || !move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const last = area.getAttribute("aria-valuemax");
    showValues(chartOf(area), Math.max(0, Math.min(last, move(Number(area.getAttribute("aria-valuenow")), Number(last)))));
  });
}
