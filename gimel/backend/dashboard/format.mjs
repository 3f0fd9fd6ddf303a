// @ts-check
// Numbers and dates in the format of the reader's locale. Words are English, like the page.

/** @import { Goal, Interval } from "./types.d.ts" */

// Arabic digits and Hebrew dates run from right to left. Amid English words, their signs and ranges
// would change places, so readers of such scripts get English figures.
const RIGHT_TO_LEFT = /^(ar|ckb|dv|fa|he|iw|ks|ps|sd|ug|ur|yi)\b/;
const LOCALE = RIGHT_TO_LEFT.test(new Intl.NumberFormat().resolvedOptions().locale) ? "en" : undefined;
const wholeNumber = new Intl.NumberFormat(LOCALE);
export const dateOnly = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });
export const longDate = new Intl.DateTimeFormat(LOCALE, { dateStyle: "long" });
export const clock = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
const UTC = { timeZone: "UTC" };
export const utcDay = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", ...UTC });
export const longUtcDay = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", ...UTC });
export const utcHour = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short", ...UTC });
export const utcTime = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short", ...UTC });
const ago = new Intl.RelativeTimeFormat("en");
export const DASH = "–";
/** @type {[Intl.RelativeTimeFormatUnit & string, number][]} */
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

/** @param {number} number */
export const count = (number) => wholeNumber.format(number);

/**
 * Return how long ago a moment (in ms) was, in words.
 * @param {number} moment
 */
export function age(moment) {
  const seconds = (Date.now() - moment) / 1000;
  const found = UNITS.find(([, length]) => seconds >= length);
  return found ? ago.format(-Math.floor(seconds / found[1]), found[0]) : "just now";
}

/**
 * Return a time in its largest whole unit.
 * @param {number} seconds
 */
export function duration(seconds) {
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["second", 1];
  return plural(Math.floor(seconds / length), unit);
}

const numberFormats = new Map();

/**
 * @param {number} digits
 * @param {Intl.NumberFormatOptions} [options]
 * @returns {Intl.NumberFormat}
 */
export function number(digits, options) {
  const name = `${digits} ${JSON.stringify(options)}`;
  if (!numberFormats.has(name)) {
    const fixed = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    numberFormats.set(name, new Intl.NumberFormat(LOCALE, { ...fixed, ...options }));
  }
  return numberFormats.get(name);
}

/** @type {Intl.NumberFormatOptions} */
export const PERCENT = { style: "percent" };
/** @type {Intl.NumberFormatOptions} */
export const SIGNED = { style: "percent", signDisplay: "exceptZero" };
/**
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export const percent = (value, digits = 0) => (value == null ? DASH : number(digits, PERCENT).format(value));

// The digits of a larger lift mean nothing.
const MAX_LIFT = 10;

/**
 * Format a lift with about two significant digits.
 * @param {number | null} value
 */
export function lift(value) {
  if (value == null) return DASH;
  if (value > MAX_LIFT) return `more than ${number(0, SIGNED).format(MAX_LIFT)}`;
  return number(Math.abs(value) < 1 ? 1 : 0, SIGNED).format(value);
}

/** @param {Interval} interval */
export const liftRange = ([low, high]) => (low > MAX_LIFT ? lift(low) : `${lift(low)} to ${lift(high)}`);

/**
 * Format an amount. Its sum is approximate, so decimals matter only while it is small.
 * @param {number} value
 */
export const amount = (value) => (Number.isInteger(value) || value >= 100 ? count(Math.round(value)) : number(2).format(value));

/**
 * Format a chance. None is shown as 0 % or 100 %.
 * @param {number | null} value
 */
export function chance(value) {
  if (value == null) return DASH;
  if (value > 0.995) return `> ${percent(0.99)}`;
  return value < 0.005 ? `< ${percent(0.01)}` : percent(value);
}

/** @param {number | null} value */
export function pValue(value) {
  if (value == null) return DASH;
  return value < 0.0001 ? `< ${number(4).format(0.0001)}` : number(value < 0.1 ? 4 : 2).format(value);
}

export const RATE_NAMES = { unique: "Rate", total: "Per visitor", value: "Mean per visitor" };

/**
 * Return the number format for a goal's rates, with only the digits that their intervals allow.
 * @param {Goal} goal
 */
export function rateFormat(goal) {
  const isShare = goal.kind === "unique";
  const intervals = goal.results.map((row) => row.rate_interval).filter((each) => each != null);
  const narrowest = Math.min(1, ...intervals.map(([low, high]) => high - low)) * (isShare ? 50 : 0.5);
  const digits = Math.min(4, Math.max(0, 1 - Math.floor(Math.log10(narrowest || 1))));
  return number(digits, isShare ? PERCENT : undefined);
}

/**
 * @param {number} amount
 * @param {string} word
 */
export const plural = (amount, word) => `${count(amount)} ${word}${amount === 1 ? "" : "s"}`;
