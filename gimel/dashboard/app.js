"use strict";
(function () {
  const byId = (id) => document.getElementById(id);
  const KEY = "gimel key";

  // The key arrives in the fragment, which no server sees, and leaves the address bar at once.
  function readFragment() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    const key = fragment.get("key");
    if (key) {
      sessionStorage.setItem(KEY, key);
      fragment.delete("key");
      history.replaceState(null, "", "#" + fragment);
    }
    byId("namespace").value = fragment.get("namespace") || "alephbet";
  }

  function say(text, bad = false) {
    byId("status").textContent = text;
    byId("status").classList.toggle("bad", bad);
  }

  function element(name, text, parent) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  const whole = new Intl.NumberFormat();
  const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 2 });

  function table(title, heads, rows, parent) {
    const made = element("table", undefined, element("div", undefined, parent));
    made.parentNode.className = "scroll";
    element("caption", title, made);
    const head = element("tr", undefined, element("thead", undefined, made));
    for (const text of heads) element("th", text, head).scope = "col";
    const body = element("tbody", undefined, made);
    for (const [label, ...cells] of rows) {
      const row = element("tr", undefined, body);
      element("th", label, row).scope = "row";
      for (const text of cells) element("td", text, row);
    }
  }

  function show(experiment) {
    const section = element("section");
    element("h2", experiment.experiment, section);
    const since = experiment.created_at ? `since ${new Date(experiment.created_at).toLocaleDateString()}` : "made by gimel 1.x";
    const facts = element("p", `${experiment.state}, ${since}; counts ± ${percent.format(experiment.counting.relative_error)}`, section);
    facts.className = "facts";
    if (!experiment.goals.length) {
      table("no goal reached yet", ["Variant", "Visitors"],
        experiment.variants.map((variant) => [variant.label, whole.format(variant.trials)]), section);
    }
    for (const goal of experiment.goals) {
      table(goal.goal, ["Variant", "Visitors", "Conversions", "Rate"], goal.results.map((result) => [
        result.label, whole.format(result.trials), whole.format(result.successes),
        result.trials ? percent.format(result.successes / result.trials) : "–",
      ]), section);
    }
    return section;
  }

  async function refresh() {
    const namespace = byId("namespace").value || "alephbet";
    const key = sessionStorage.getItem(KEY);
    let answer;
    try {
      answer = await fetch("experiments?" + new URLSearchParams({ namespace }), {
        headers: key ? { "x-api-key": key } : {},
      });
    } catch {
      return say("The backend does not answer.", true);
    }
    byId("unlock").hidden = answer.status !== 403;
    if (answer.status === 403) return say(key ? "The key is not the right one." : "", true);
    if (!answer.ok) return say(`The backend answers with an error (${answer.status}).`, true);
    const experiments = (await answer.json()).slice(1);
    say(experiments.length ? `${whole.format(experiments.length)} experiments` : "No experiment here yet.");
    byId("experiments").replaceChildren(...experiments.map(show));
  }

  byId("choose").addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = "#" + new URLSearchParams({ namespace: byId("namespace").value });
  });
  byId("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("key").value);
    refresh();
  });
  addEventListener("hashchange", () => { readFragment(); refresh(); });
  readFragment();
  refresh();
})();
