// @ts-check
// The HTML that `gimel snippet --src` prints. A test compares it with gimel/snippet.py.

import { find } from "./dom.mjs";

/** @import { Definition } from "./types.d.ts" */

/** @type {Record<string, string>} */
const ENTITIES = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "#x27" };

/**
 * Return the text for HTML of any encoding, to stand in quotation marks or in a comment.
 * @param {string} text
 */
const escapedHtml = (text) => text
  .replace(/[&<>"']/g, (character) => `&${ENTITIES[character]};`)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are part of the range
  .replace(/[^\x00-\x7f]/gu, (character) => `&#${character.codePointAt(0)};`);

/**
 * Return the text as the value of an attribute. JSON stands in single marks, to be readable.
 * @param {string} text
 */
const quoted = (text) =>
  (text.includes('"') ? `'${escapedHtml(text).replaceAll("&quot;", '"')}'` : `"${escapedHtml(text)}"`);

/**
 * Return the text as JSON in ASCII.
 * @param {string} text
 */
const json = (text) => JSON.stringify(text)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are part of the range
  .replace(/[^\x00-\x7f]/g, (half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, "0")}`);

/**
 * Return the variants as JSON: a list, or an object with the weights.
 * @param {Definition["variants"]} variants
 */
const weightsIn = (variants) =>
  (variants.some(({ weight }) => weight != null)
    ? `{${variants.map(({ name, weight }) => `${json(name)}:${weight ?? 1}`)}}`
    : `[${variants.map(({ name }) => json(name))}]`);

/**
 * Return the attribute of <html> that holds the visitor's variant of the experiment.
 * @param {string} experiment
 */
export const attributeName = (experiment) =>
  `data-gimel-${experiment.toLowerCase().replace(/[^a-z0-9\xdf-\xf6\xf8-\u037d\u037f-\u1fff\u3001-\ud7ff]+/g, "-")}`;

/** @type {{ experiment: string, variants: Definition["variants"], goals: string[], traffic?: number | null }} */
const SAMPLE = { experiment: "my experiment", variants: [{ name: "A" }, { name: "B" }], goals: ["signup"] };

/**
 * Return the HTML for an experiment. Events go to `url`.
 * @param {string} url
 * @param {string} namespace
 * @param {typeof SAMPLE} [given]
 */
export function snippet(url, namespace, { experiment, variants, goals, traffic } = SAMPLE) {
  const src = new URL(find(document, "meta[name=gimel-script]").content, location.href).href;
  const attributes = {
    src,
    // By default, events go to where the script comes from.
    "data-url": url === new URL("e", src).href ? null : url,
    "data-namespace": namespace === "alephbet" ? null : namespace,
    "data-experiment": experiment,
    "data-variants": weightsIn(variants),
    "data-traffic": traffic == null || traffic === 1 ? null : `${traffic}`,
  };
  const written = Object.entries(attributes)
    .flatMap(([name, value]) => (value == null ? [] : [`${name}=${quoted(value)}`]));
  const usage = `
     A click on an element counts as a goal, and so does the submission of a form, with
     ${goals.map((goal) => `data-gimel-goal="${escapedHtml(goal)}"`).join(", ")}`;
  return `<!-- CSS finds the variant in an attribute: html[${attributeName(experiment)}="${escapedHtml(variants[variants.length - 1].name)}"]${goals.length ? usage : ""} -->
<script ${written.join(" ")}><\/script>
`;
}
