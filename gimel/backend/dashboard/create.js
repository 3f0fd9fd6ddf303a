// The dialog that declares an experiment. For a new experiment it ends with the snippet to paste.

const ROLES = ["primary", "secondary", "guardrail"];
const KINDS = { unique: "once per visitor", total: "every time" };

/**
 * Open the dialog. `declare` receives a name, a definition and the form. `seen` is an undeclared experiment
 * whose names and settings the dialog proposes.
 */
function openCreate(declare, seen) {
  const { experiment = "", variants, goals, ...kept } = seen ? proposalFrom(seen) : {};
  const content = h("div", { class: "settings" },
    entry("Name", h("input", { name: "experiment", value: experiment, readonly: Boolean(seen), ...UNASSISTED })),
    rowList("variants", "The first is the baseline, which the others are compared with.", 2,
      variants ?? [{}, {}], variantRow),
    rowList("goals", "The primary goal decides. A guardrail must not get worse.", 0,
      goals ?? [{ role: "primary" }], goalRow),
    entry("Hypothesis (optional)", h("textarea", { name: "hypothesis", rows: 2 })),
    !seen && entry("Planned visitors (optional)", numberField({ name: "planned_visitors", step: 1 }),
      h("small", {}, h("code", {}, "gimel sample-size"), " computes how many are needed")));
  const submit = (form) => declare(nameIn(form), { ...kept, ...definitionIn(form) }, form);
  const title = seen ? ["Declare ", bdi(experiment)] : "New experiment";
  const form = openForm(title, content, seen ? "Declare" : "Create", submit);
  form.querySelector("input:not([readonly])").focus();
}

const UNASSISTED = { autocomplete: "off", spellcheck: "false", autocapitalize: "off" };

/** Return what a declaration of an undeclared experiment has to keep. */
function proposalFrom({ experiment, variants, goals, baseline, primary_goal: primary, srm, equivalence }) {
  const shares = Object.values(srm.weights);
  const isEqual = shares.every((share) => share === shares[0]);
  const first = (name) => (a, b) => (b.name === name) - (a.name === name);
  return {
    experiment,
    equivalence,
    variants: variants.filter(({ stray }) => !stray).map(({ label: name }) =>
      ({ name, weight: isEqual ? undefined : (srm.weights[name] ?? 0) * 100 })).sort(first(baseline)),
    goals: goals.map(({ goal: name, kind }) =>
      ({ name, kind, role: name === primary ? "primary" : "secondary" })).sort(first(primary)),
  };
}

/** Create a labelled field that has room for an error, and for a hint. */
const entry = (label, field, hint) =>
  h("div", { class: "entry" }, h("label", { class: "field" }, h("span", {}, label), field, hint));

const textEntry = (label, field, value) =>
  entry(label, h("input", { "data-field": field, value: value ?? "", ...UNASSISTED }));

const selectEntry = (label, field, all, current) =>
  entry(label, h("select", { "data-field": field },
    Object.entries(all).map(([value, text]) => h("option", { value, selected: value === current }, text))));

const checkEntry = (label, field, value) =>
  h("div", { class: "entry" }, h("label", { class: "check" },
    h("input", { type: "checkbox", "data-field": field, value }), h("span", {}, label)));

const variantRow = ({ name, weight }) => [
  textEntry("Variant", "name", name),
  entry("Weight", numberField({ "data-field": "weight", value: weight, placeholder: "equal" })),
];

const goalRow = ({ name, role, kind }) => [
  textEntry("Goal", "name", name),
  selectEntry("Role", "role", Object.fromEntries(ROLES.map((each) => [each, each])), role ?? "secondary"),
  selectEntry("Counts", "kind", KINDS, kind),
  checkEntry("Lower is better", "better", "lower"),
  checkEntry("Counts only events with a key", "from", "server"),
];

/** Create a list of rows with a button that adds one and buttons that remove one. */
function rowList(list, hint, minimum, rows, fieldsOf) {
  const word = list.slice(0, -1);
  const rowOf = (values) => h("div", { class: "row", role: "group" }, fieldsOf(values),
    h("button", { class: "button remove", type: "button" }, h("span", { "aria-hidden": "true" }, "×")));
  const box = h("div", { class: "rows", "data-list": list }, rows.map(rowOf));
  const add = h("button", { class: "button", type: "button" }, `Add ${word}`);
  const number = () => [...box.children].forEach((row, index, all) => numberRow(row, word, index, all.length > minimum));
  add.addEventListener("click", () => {
    box.append(rowOf({}));
    number();
    box.lastChild.querySelector("input").focus();
  });
  box.addEventListener("click", ({ target }) => {
    if (!target.closest(".remove")) return;
    target.closest(".row").remove();
    number();
    add.focus();
  });
  number();
  return h("fieldset", { class: `${word}-rows` }, h("legend", {}, h("strong", {}, capitalized(list)), " ", hint), box, add);
}

/** Name a row's fields by the paths that the backend's errors have, e.g. `variants[1].name`. */
function numberRow(row, word, index, isRemovable) {
  const title = `${capitalized(word)} ${index + 1}`;
  row.setAttribute("aria-label", title);
  row.querySelector("span").textContent = word === "variant" && index === 0 ? `${title} (baseline)` : title;
  for (const field of row.querySelectorAll("[data-field]")) field.name = `${word}s[${index}].${field.dataset.field}`;
  row.querySelector(".remove").setAttribute("aria-label", `Remove ${title.toLowerCase()}`);
  row.querySelector(".remove").disabled = !isRemovable;
}

const nameIn = ({ elements: { experiment: field } }) => (field.readOnly ? field.value : field.value.trim() || " ");

function definitionIn(form) {
  const { hypothesis, planned_visitors: plan } = form.elements;
  const fieldsIn = (row) => Object.fromEntries(
    [...row.querySelectorAll("[data-field]")].map((field) => [field.dataset.field, valueOf(field)]));
  const listOf = (list) => [...form.querySelectorAll(`[data-list="${list}"] .row`)].map(fieldsIn);
  return {
    variants: listOf("variants"),
    goals: listOf("goals"),
    hypothesis: hypothesis.value.trim() || null,
    planned_visitors: plan && valueOf(plan),
  };
}

/** Return a field's value; null stands for the default. */
function valueOf(field) {
  if (field.type === "checkbox") return field.checked ? field.value : null;
  // The backend refuses a text where it wants a number.
  if (field.type === "number") return field.validity.badInput ? "" : field.value === "" ? null : field.valueAsNumber;
  // A name that was seen in events stays as it is.
  return field.value === field.defaultValue ? field.value : field.value.trim();
}

/** Show the snippet for a new experiment. `done` leads to its page. */
function showSnippet(url, namespace, name, { variants, goals }, done) {
  const isInSnippet = ({ from, kind }) => !from && kind === "unique";
  const others = goals.filter((goal) => !isInSnippet(goal));
  const names = { experiment: name, variants, goals: goals.filter(isInSnippet).map((goal) => goal.name) };
  const content = [
    h("p", {}, "Paste this into your page. A click on an element with the attribute ",
      h("code", {}, "data-goal=\"…\""), " counts as reaching that goal."),
    snippetBox(snippet(url, namespace, names)),
    others.length > 0 && h("p", { class: "soft" }, "The snippet does not send ",
      others.map((goal, index) => [index > 0 && ", ", bdi(goal.name)]),
      ": such events need a key, or the field ", h("code", {}, "visitor"), ". Send them from your server."),
  ];
  openForm([bdi(name), " is ready"], content, "Done", done, { isLast: true })
    .querySelector("[data-action=copy]").focus();
}
