// One experiment: its health, then one goal at a time. A history chart will stand between the
// verdict and the table.

const DOCS = "https://github.com/Alephbet/gimel/blob/master/docs/statistics.md";

function experimentView(experiment, view) {
  const goal = experiment.goals.find((each) => each.goal === view.goal) ?? primary(experiment) ?? experiment.goals[0];
  return [
    h("nav", { class: "crumbs", "aria-label": "Where" }, h("a", { href: link({ experiment: "", goal: "" }) }, icon("back"), "Experiments in ", bdi(view.namespace))),
    h("div", { class: "head" },
      h("div", { class: "title" }, h("h1", { tabindex: -1 }, bdi(experiment.experiment)), facts(experiment)),
      tools(experiment)),
    experiment.srm.alarm && alarm(experiment),
    experiment.goals.length > 1 && goalSwitch(experiment, goal),
    goal ? goalPanel(experiment, goal) : noGoal(experiment),
    footnote(experiment, goal),
  ];
}

function facts(experiment) {
  const since = experiment.created_at && dateOnly.format(new Date(experiment.created_at));
  return h("p", { class: "facts" }, stateOf(experiment), " · ", plural(visitors(experiment), "visitor"), " · ",
    since ? ["started ", since, ", ", started(experiment)] : started(experiment));
}

function tools({ state }) {
  const button = (action, label) => h("button", { class: "button", "data-action": action, "data-key": action }, label);
  return h("div", { class: "tools" },
    state === "running" ? button("stop", "Stop") : button("resume", state === "stopped" ? "Resume" : "Restore"),
    state === "stopped" && button("archive", "Archive"),
    button("csv", "CSV"), button("json", "JSON"), button("settings", "Settings"));
}

function alarm(experiment) {
  const { p_value: p, weights } = experiment.srm;
  const all = visitors(experiment);
  return h("section", { class: "alarm", role: "alert", "data-key": "alarm" },
    icon("do_not_trust"),
    h("div", {},
      h("h2", {}, "The split is wrong: do not trust these numbers"),
      h("p", {}, `Sample ratio: p ${p < 0.0001 ? "" : "= "}${pValue(p)}. Something loses or adds visitors of one variant: a redirect, a bot, a script that fails. Find it, then start anew under another name. Were other shares meant, say so in the settings.`),
      h("ul", { class: "split" }, experiment.variants.map(({ label, trials }) =>
        h("li", {}, bdi(label), " ", h("span", { class: "number" }, `${percent(trials / all, 1)} of visitors, ${percent(weights[label] ?? 0, 1)} meant`))))));
}

function goalSwitch(experiment, current) {
  return h("nav", { class: "goals", "aria-label": "Goal", "data-key": "goals" }, primaryFirst(experiment).map((goal) =>
    h("a", { href: link({ goal: goal.goal }), "aria-current": goal === current && "true", "data-key": goal.goal, title: goal.goal },
      h("span", { class: goal.verdict.state }, icon(goal.verdict.state), h("span", { class: "unseen" }, `${VERDICTS[goal.verdict.state]}: `)),
      bdi(goal.goal, { class: "cut" }), goal.goal === experiment.primary_goal && h("span", { class: "soft" }, "primary"))));
}

const primaryFirst = ({ goals, primary_goal: first }) => [...goals].sort((a, b) => (b.goal === first) - (a.goal === first));

function goalPanel(experiment, goal) {
  const names = experiment.variants.map(({ label }) => label);
  return h("section", { class: "card goal", "data-key": "goal", "aria-labelledby": "goal" },
    h("div", { class: "verdict" },
      h("div", { class: "line" }, h("h2", { id: "goal" }, bdi(goal.goal)), verdictChip(goal.verdict.state), goal.kind === "total" && h("span", { class: "soft" }, "any number of times a visitor")),
      h("p", { class: "reason" }, sentence(goal.verdict.reason, names))),
    results(experiment, goal),
    more(experiment, goal));
}

/** A sentence that quotes names: each keeps its direction to itself. */
function sentence(text, names) {
  const quoted = [...names].sort((a, b) => b.length - a.length).map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const parts = text.split(new RegExp(`(?<![\\p{L}\\p{N}])(${quoted.join("|")})(?![\\p{L}\\p{N}])`, "u"));
  return parts.map((part, place) => (place % 2 ? bdi(part) : part));
}

function results(experiment, goal) {
  const scale = scaleOf(goal.results.map((row) => row.lift_interval_always_valid).filter(Boolean));
  const rate = rateFormat(goal);
  const heads = ["Variant", "Visitors", "Conversions", goal.kind === "unique" ? "Rate" : "Per visitor", "Lift"];
  return h("table", { class: `results ${experiment.srm.alarm ? "void" : ""}`, role: "table", "aria-label": "Results" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      heads.map((head, place) => h("th", { role: "columnheader", scope: "col", class: place && "number" }, head)),
      h("th", { role: "columnheader", scope: "col", class: "wide" }, h("span", { class: "unseen" }, "Lift interval"), axis(scale)),
      h("th", { role: "columnheader", scope: "col", class: "number" }, "Chance to be best"))),
    h("tbody", { role: "rowgroup" }, goal.results.map((row) => resultRow(row, experiment, goal, scale, rate))));
}

function resultRow(row, experiment, goal, scale, rate) {
  const isBaseline = row.label === experiment.baseline;
  const interval = row.lift_interval_always_valid;
  const cell = (label, ...children) => h("td", { role: "cell", class: "number", "data-label": label }, children);
  return h("tr", { role: "row", "data-key": row.label, class: isBaseline ? "base" : goal.verdict.winner === row.label && "wins" },
    h("th", { role: "rowheader", scope: "row" }, h("span", { class: "name" }, bdi(row.label)),
      isBaseline && h("span", { class: "sub" }, "baseline"),
      goal.verdict.winner === row.label && h("span", { class: "sub winner" }, icon("winner"), "winner")),
    cell("Visitors", count(row.trials)),
    cell("Conversions", count(row.successes)),
    cell("Rate", row.rate == null ? DASH : rate.format(row.rate), row.rate_interval && h("span", { class: "sub" }, rate.formatRange(...row.rate_interval))),
    cell("Lift", h("span", { class: interval && sideOf(interval) }, isBaseline ? DASH : lift(row.lift)), interval && h("span", { class: "sub" }, liftRange(interval))),
    h("td", { role: "cell", class: "drawn" }, plot(interval, row.lift, scale),
      !interval && h("span", { class: "note" }, isBaseline ? "" : "too few to say")),
    cell("Chance to be best", chance(row.chance_to_be_best), bar(row.chance_to_be_best)));
}

/** The figures that only some ask for. */
function more(experiment, goal) {
  const columns = [
    ["p, any time", (row) => pValue(row.p_value_always_valid)],
    ["p, corrected", (row) => pValue(row.p_value_always_valid_adjusted)],
    ["p, one look", (row) => pValue(row.p_value)],
    ["Lift, one look", (row) => (row.lift_interval ? liftRange(row.lift_interval) : DASH)],
    ["Beats baseline", (row) => chance(row.chance_to_beat_baseline)],
    ["Expected loss", (row) => (row.expected_loss == null ? DASH : number(goal.kind === "unique" ? 3 : 4, goal.kind === "unique" ? PERCENT : {}).format(row.expected_loss))],
  ];
  const head = (label) => h("th", { scope: "col", class: "number" }, label);
  return h("details", { class: "more" }, h("summary", {}, "All figures"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All figures" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Variant"), columns.map(([label]) => head(label)))),
      h("tbody", {}, goal.results.map((row) => h("tr", { "data-key": row.label }, h("th", { scope: "row" }, bdi(row.label, { class: "cut", title: row.label })),
        columns.map(([, write]) => h("td", { class: "number" }, write(row)))))))));
}

function noGoal(experiment) {
  return h("section", { class: "card goal", "data-key": "goal" },
    h("p", { class: "verdict soft" }, "No goal was reached yet. Visitors so far:"),
    h("table", { class: "results", role: "table", "aria-label": "Visitors" }, h("tbody", { role: "rowgroup" }, experiment.variants.map(({ label, trials }) =>
      h("tr", { role: "row", "data-key": label }, h("th", { role: "rowheader", scope: "row" }, h("span", { class: "name" }, bdi(label))), h("td", { role: "cell", class: "number" }, count(trials)))))));
}

function baselineSwitch(experiment) {
  return h("div", { class: "baseline" },
    h("label", { class: "field" }, h("span", {}, "Compared with"),
      h("select", { "data-change": "baseline", "aria-describedby": "baseline-note" }, experiment.variants.map(({ label }) =>
        h("option", { value: label, selected: label === experiment.baseline }, label)))),
    h("span", { class: "soft", id: "baseline-note" }, "A setting of the experiment: it changes for everyone."));
}

function footnote(experiment, goal) {
  const { method, shards, relative_error: error } = experiment.counting;
  const sum = method === "hyperloglog" ? plural(shards, "HyperLogLog") : method;
  const how = error ? `A count is the sum of ${sum}, with a standard error of ${percent(error, 2)}, which every interval includes.` : "Counts are exact.";
  const several = experiment.variants.length > 2 && " An interval compares one variant with the baseline; the verdict corrects for their number.";
  return h("div", { class: "foot", "data-key": "foot" },
    goal && baselineSwitch(experiment),
    h("p", {}, how, goal && ` Lift intervals are of ${percent(0.95)} and hold however often you look.`, several, " ",
      h("a", { href: DOCS, rel: "noreferrer" }, "How this is computed")));
}

function missing(view) {
  return [
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, bdi(view.experiment))),
    h("section", { class: "card empty" }, h("h2", {}, "There is no such experiment here"),
      h("p", {}, "It was deleted, or the link names another namespace. ", h("a", { href: link({ experiment: "", goal: "" }) }, "All experiments"))),
  ];
}
