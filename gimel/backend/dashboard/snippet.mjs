// @ts-check
// The HTML that `gimel snippet` prints. A test compares it with gimel/snippet.py.

/** @import { Definition } from "./types.d.ts" */

const ALEPHBET = "https://cdn.jsdelivr.net/npm/alephbet@0.27.0/dist/alephbet.min.js";
const INTEGRITY = "sha384-4VEL32ya6Zl4KzeC363t/ySCI+riTrRthoaev9aFmg7i5aF8/44TAI0fCz7Vvzha";

/**
 * Return the text as a JavaScript string that is safe inside an HTML script element.
 * @param {string} text
 */
function quoted(text) {
  /** @param {string} character */
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are part of the range
  return JSON.stringify(text).replace(/[<>&]|[^\x00-\x7f]/g, escaped);
}

/**
 * Return the lines for the variants. AlephBet needs whole numbers as weights.
 * @param {Definition["variants"]} variants
 */
function variantLines(variants) {
  const factor = variants.every(({ weight }) => weight == null || Number.isInteger(weight)) ? 1 : 1000;
  /** @param {number | null} [weight] */
  const share = (weight) => (weight == null ? "" : `weight: ${Math.round(weight * factor)}, `);
  return variants.map(({ name, weight }) =>
    `        ${quoted(name)}: { ${share(weight)}activate: function () { show(${quoted(name)}); } }`).join(",\n");
}

const SAMPLE = { experiment: "my experiment", variants: [{ name: "A" }, { name: "B" }], goals: ["signup"] };

/**
 * @param {string} url
 * @param {string} namespace
 * @param {{ experiment: string, variants: Definition["variants"], goals: string[] }} [given]
 */
export const snippet = (url, namespace, { experiment, variants, goals } = SAMPLE) => `<script src="${ALEPHBET}"
        integrity="${INTEGRITY}" crossorigin="anonymous"><\/script>
<script>
  (function () {
    // Puts the variant into an attribute of <html>: style it with [data-variant="…"], or read it.
    function show(variant) { document.documentElement.setAttribute("data-variant", variant); }
    // Unsent events wait in localStorage. AlephBet 0.27.0 saves them under one name but looks for
    // them under another after a reload. This queue uses one name for both.
    var queue = {
      get: function () { return AlephBet.LocalStorageAdapter.get("_gimel_queue"); },
      set: function (_, events) { AlephBet.LocalStorageAdapter.set("_gimel_queue", events); }
    };
    var experiment = new AlephBet.Experiment({
      name: ${quoted(experiment)},
      // user_id: "…",  // the id of a logged-in visitor, who then counts once on all devices
      tracking_adapter: new AlephBet.GimelAdapter(${quoted(url)}, ${quoted(namespace)}, queue),
      variants: {
${variantLines(variants)}
      }
    });
    // A click on an element with data-goal="…" counts as reaching that goal.
    [${goals.map(quoted).join(", ")}].forEach(function (name) {
      var goal = new AlephBet.Goal(name);
      experiment.add_goal(goal);
      document.addEventListener("click", function (event) {
        var element = event.target.closest("[data-goal]");
        if (element && element.getAttribute("data-goal") === name) goal.complete();
      });
    });
  })();
<\/script>
`;
