// @ts-check
// The HTML that `gimel snippet` prints. A test compares it with gimel/alephbet.py.

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
 * Return the attribute of <html> that holds the visitor's variant of the experiment.
 * @param {string} experiment
 */
export const attributeName = (experiment) =>
  `data-gimel-${experiment.toLowerCase().replace(/[^a-z0-9\xdf-\xf6\xf8-\u037d\u037f-\u1fff\u3001-\ud7ff]+/g, "-")}`;

/**
 * Return the lines for the variants. AlephBet needs whole numbers as weights.
 * @param {Definition["variants"]} variants
 */
function variantLines(variants) {
  const factor = variants.every(({ weight }) => weight == null || Number.isInteger(weight)) ? 1 : 1000;
  /** @param {number | null} [weight] */
  const share = (weight) => (weight == null ? "" : `weight: ${Math.round(weight * factor)}, `);
  return variants.map(({ name, weight }) =>
    `      ${quoted(name)}: { ${share(weight)}activate: function () { show(${quoted(name)}); } }`).join(",\n");
}

const SAMPLE = { experiment: "my experiment", variants: [{ name: "A" }, { name: "B" }], goals: ["signup"] };

/**
 * @param {string} url
 * @param {string} namespace
 * @param {{ experiment: string, variants: Definition["variants"], goals: string[] }} [given]
 */
export const snippet = (url, namespace, { experiment, variants, goals } = SAMPLE) => `<script async src="${ALEPHBET}"
        integrity="${INTEGRITY}" crossorigin="anonymous"><\/script>
<script>
  (function () {
    var url = ${quoted(url)}, namespace = ${quoted(namespace)}, name = ${quoted(experiment)};
    var goals = [${goals.map(quoted).join(", ")}], early = [], experiment;
    var variants = {
${variantLines(variants)}
    };

    // The variant goes into an attribute of <html>, where CSS and scripts find it.
    function show(variant) { document.documentElement.setAttribute(${quoted(attributeName(experiment))}, variant); }

    // Where the browser refuses localStorage, what is stored lasts as long as the page.
    var store = {};
    try { store = window.localStorage || store; } catch (refused) {}
    function write(key, value) {
      try { store[key] = value; }
      catch (full) { (store = Object.assign({}, store))[key] = value; }
    }
    function state() { return JSON.parse(store.alephbet || "{}"); }
    var storage = {
      get: function (key) { return state()[key]; },
      set: function (key, value) {
        var changed = state();
        changed[key] = value;
        write("alephbet", JSON.stringify(changed));
      }
    };

    // Each unsent event is stored under a key of its own, so no tab overwrites another's. All
    // experiments of the page share this queue.
    var queues = window.gimelQueues = window.gimelQueues || {};
    var queue = queues[url] = queues[url] || (function () {
      var prefix = "gimel-queue " + url + " ", sending = {}, pause = 0, timer = 0;
      function waiting() {
        return Object.keys(store).filter(function (key) {
          return key.indexOf(prefix) === 0 && !sending[key];
        });
      }
      function send(isRetry) {
        if (pause && !isRetry) return;
        // Ten events with the longest names fit into the 64 KB that keepalive allows.
        var keys = waiting().slice(0, 10);
        if (!keys.length) { pause = 0; return; }
        keys.forEach(function (key) { sending[key] = true; });
        fetch(url, {
          method: "POST", keepalive: true, credentials: "omit",
          body: "[" + keys.map(function (key) { return store[key]; }) + "]"
        }).then(function (answer) { return answer.json(); }).then(function (answer) {
          // Of the rejected events, those that name no field may be counted later.
          var full = answer.rejected.filter(function (each) { return !each.field; });
          full = full.map(function (each) { return keys[each.index]; });
          keys.forEach(function (key) { if (full.indexOf(key) < 0) delete store[key]; });
          if (full.length) throw full;
          pause = 0;
          send();
        }).catch(function () {
          keys.forEach(function (key) { delete sending[key]; });
          if (timer) return;
          pause = Math.min(2 * pause || 5, 600);
          timer = setTimeout(function () { timer = 0; send(true); }, 1000 * pause);
        });
      }
      window.addEventListener("online", send);
      send();
      return function (id, event) {
        if (waiting().length < 500) write(prefix + id, JSON.stringify(event));
        // Events of the same moment leave together.
        Promise.resolve().then(send);
      };
    })();

    // The uuids are those of AlephBet's GimelAdapter.
    function track(user, variant, event, isUnique) {
      var utils = AlephBet.utils, id = utils.uuid();
      queue(id, {
        experiment: name, variant: variant, event: event, namespace: namespace,
        uuid: user && isUnique ? utils.sha1([namespace, name, user].join(".")) : id
      });
    }

    function start() {
      if (experiment || !window.AlephBet) return;
      experiment = new AlephBet.Experiment({
        name: name,
        // user_id: "…",  // the id of a logged-in visitor, who then counts once on all devices
        variants: variants,
        storage_adapter: storage,
        tracking_adapter: {
          experiment_start: function (started, variant) {
            track(started.user_id, variant, "participate", true);
          },
          goal_complete: function (started, variant, goal, props) {
            track(started.user_id, variant, goal, props.unique);
          }
        }
      });
      early.forEach(reach);
    }

    function reach(goal) {
      if (goals.indexOf(goal) < 0) return;
      if (experiment) experiment.goal_complete(goal); else early.push(goal);
    }
    // gimelGoal("…") counts as reaching that goal, in all experiments of the page that have it.
    var others = window.gimelGoal;
    window.gimelGoal = function (goal) { if (others) others(goal); reach(goal); };
    // So does a click on an element with data-goal="…".
    document.addEventListener("click", function (event) {
      var element = event.target.closest("[data-goal]");
      if (element) reach(element.getAttribute("data-goal"));
    }, true);

    // A visitor who has been here sees the variant before AlephBet arrives.
    var known = storage.get(name + ":variant");
    if (variants[known]) show(known);
    start();
    document.addEventListener("load", start, true);
  })();
<\/script>
`;
