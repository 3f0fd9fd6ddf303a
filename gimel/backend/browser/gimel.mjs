// Gimel in a page: assigns variants and sends events. Also works on a server: there, everybody gets
// the first variant. The plain script `gimel.js` is made from this file and script.mjs.
//
// An unsent event is one entry of localStorage, and its key holds the event's JSON. So all tabs share
// one queue, and no tab can overwrite what another one added.

import { assignedVariant, takesPart } from "./assignment.mjs";

// All keys in localStorage begin with this.
const PREFIX = "gimel:";
const EVENT = PREFIX + "{";
// The day on which the visitor was counted in an experiment
const MARK = PREFIX + "[";
const ID = PREFIX + "id";
// The time from which the next attempt to send may begin, and how long to wait after that one
const RETRY = PREFIX + "retry";
// Stands in place of the visitor's id.
const OPTED_OUT = "opted out";

// Characters in all unsent events. In UTF-8 they take at most 60 KB, and a browser refuses to send
// more than 64 KB while a page is left.
const MOST = 2e4;
// Milliseconds
const FLUSH_AFTER = 1e3, FIRST_WAIT = 500, LONGEST_WAIT = 6e5;
// Seconds
const YEAR = 31536000;

/** Return what the action returns, or nothing if it throws. Report the error if told to. */
export const attempt = (action, report) => {
  try {
    return action();
  } catch (error) {
    report && console.error(error);
  }
};

// Ids need not be secret. Two of 10 million visitors get the same one with a chance of 1 %.
const randomId = () => "" + Math.random();

const attributeOf = (experiment) => "data-gimel-" + experiment.toLowerCase()
  .replace(/[^a-z0-9\xdf-\xf6\xf8-\u037d\u037f-\u1fff\u3001-\ud7ff]+/g, "-");

const namesOf = (variants) => (Array.isArray(variants) ? variants : Object.keys(variants));

function start() {
  // A browser may forbid localStorage, or it may be full. Then this is an object of this page.
  let storage = attempt(() => localStorage) || {};
  const write = (key, value) => {
    attempt(() => (storage[key] = value)) || ((storage = { ...storage })[key] = value);
  };
  const remove = (key) => delete storage[key];
  const keysWith = (prefix) => Object.keys(storage).filter((key) => key.startsWith(prefix));

  // `debug`, and `experiment:variant` for a forced variant. A tab keeps them until `?gimel=`.
  let modes = new URLSearchParams(location.search).getAll("gimel");
  attempt(() => modes[0] == null
    ? (modes = sessionStorage.gimel.split("\n"))
    : (sessionStorage.gimel = modes.join("\n")));
  const isForced = modes.join().includes(":");
  const log = (...words) => modes.includes("debug") && console.log(PREFIX, ...words);

  // The cookie and localStorage restore each other.
  const storedId = () => attempt(() => document.cookie.match(/gimel_id=([^;]+)/)[1]) || storage[ID];
  const keep = (id, seconds) => {
    id && write(ID, id);
    attempt(() => (document.cookie =
      `gimel_id=${id};max-age=${seconds};path=/;samesite=lax;${isSecureContext && "secure"}`));
  };
  const forget = (id, seconds) => {
    keysWith(PREFIX).forEach(remove);
    keep(id, seconds);
  };

  /** Return why nothing may be stored or sent, or something false. */
  const silence = () => {
    const isRefused = gimel.gpc != null && navigator.globalPrivacyControl;
    isRefused && forget("", 0);
    const reason = isForced ? "forced" : isRefused ? "GPC" : storedId() == OPTED_OUT && OPTED_OUT;
    reason && log("not sent:", reason);
    return reason;
  };

  // What the events of an experiment on this page have in common, by experiment
  const running = { __proto__: null };
  const inFlight = {};
  let timer, keptId;
  const flushIn = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(flush, milliseconds);
  };

  /** Add an event to the queue. Return whether it is in there. */
  const add = (common, event, uuid, value) => {
    const queued = keysWith(EVENT);
    const key = PREFIX + JSON.stringify({ ...common, event, uuid, value });
    if ((queued + key)[MOST] || silence()) return;
    write(key, 1);
    queued[0] || flushIn(FLUSH_AFTER);
    return true;
  };

  const flush = async () => {
    const batch = keysWith(EVENT).filter((key) => !inFlight[key]);
    if (!batch[0] || !gimel.url || silence()) return;
    const [due, wait] = `${storage[RETRY]}`.split(",");
    const left = due - Date.now();
    // A longer wait means that the clock was set back.
    if (left > 0 && left <= LONGEST_WAIT) {
      log("waits", left);
      // Of several tabs, one tries first, and the others see that.
      return flushIn(left + FIRST_WAIT * Math.random());
    }
    // Written before the attempt: a page that is left learns of no failure. An answer removes it.
    write(RETRY, [Date.now() + (wait | 0), Math.min(2 * wait, LONGEST_WAIT) || FIRST_WAIT]);
    batch.forEach((key) => (inFlight[key] = 1));
    const body = `[${batch.map((key) => key.slice(PREFIX.length))}]`;
    let answer;
    try {
      // A body of text needs no preflight.
      answer = await fetch(gimel.url, { method: "POST", body, keepalive: true, credentials: "omit" });
      answer = answer.status + " " + (await answer.text());
      // Any other answer may come from a proxy or a wrong address.
      if (/^(400|413|200 {"accepted":)/.test(answer)) {
        // Unless all events count, the next page sends its participations again.
        [...batch, RETRY, .../d":0,"r.*\[]/.test(answer) ? "" : keysWith(MARK)].forEach(remove);
      }
    } catch (error) {
      answer = error;
    }
    log(body, answer);
    batch.forEach((key) => delete inFlight[key]);
    flushIn(FLUSH_AFTER);
  };

  const gimel = {
    /**
     * Return the visitor's variant, and show it in an attribute of <html>. Count the visitor once a day.
     * `variants` is a list of names, or an object that holds the weight of each name.
     */
    variant(experiment, variants, options) {
      let variant;
      attempt(() => {
        const { traffic = 1 } = options || {};
        const names = namesOf(variants);
        variant = names[0];
        const weights = Object.fromEntries(names.map((name) => [name, names == variants ? 1 : +variants[name]]));
        const id = !silence() && "" + (gimel.user || storedId() || randomId());
        const isIn = !id || takesPart(experiment, id, traffic);
        const assigned = names.find((name) => modes.includes(experiment + ":" + name))
          || (id && isIn ? assignedVariant(experiment, id, weights) : variant);
        if (!assigned) throw "no variants: " + experiment;
        document.documentElement.setAttribute(attributeOf(experiment), assigned);
        variant = assigned;
        const common = { namespace: gimel.namespace, experiment, variant, visitor: id };
        if (isIn) running[experiment] = common;
        const mark = MARK + JSON.stringify(common);
        const day = Date().slice(0, 15);
        if (!id) return;
        isIn && storage[mark] != day || log("not sent:", isIn ? "counted today" : "not in traffic");
        gimel.user || id == keptId || keep((keptId = id), YEAR);
        if (storage[mark] == day) return;
        // The id: a visitor who takes part twice counts once.
        if (isIn && add(common, "participate", id)) write(mark, day);
      }, 1);
      return variant;
    },

    /** Count that the visitor reached a goal, in one experiment or in all on this page. */
    goal(name, options) {
      attempt(() => {
        const { value, experiment } = options || {};
        for (const key in running) {
          (experiment ?? key) == key && add(running[key], name, randomId(), value);
        }
      }, 1);
    },

    /** Forget the visitor. From now on, show the first variant, and store and send nothing. */
    optOut() {
      forget(OPTED_OUT, YEAR);
    },
  };

  // While events are captured, no other script has stopped them yet.
  for (const type of ["click", "submit", "visibilitychange", "pagehide"]) addEventListener(type, ({ target }) => {
    // The last two types have the document as their target.
    if (!target.closest) return flush();
    const element = target.closest("[data-gimel-goal]");
    if (element && element.matches("form") == (type == "submit")) {
      gimel.goal(element.dataset.gimelGoal, { value: element.dataset.gimelValue });
    }
  }, true);
  flushIn(FLUSH_AFTER);

  if (isForced) {
    document.documentElement.append(Object.assign(document.createElement("dialog"), {
      textContent: "Gimel: not counted", style: "position:fixed;bottom:0;z-index:9999", open: true,
    }));
  }
  return gimel;
}

const onServer = { variant: (experiment, variants) => namesOf(variants)[0], goal() {}, optOut() {} };

/** One for the page, however many scripts bring it. Its `url`, `namespace`, `user`, `gpc` may be set. */
export const gimel = (globalThis.gimel = globalThis.gimel || (globalThis.document ? start() : onServer));
