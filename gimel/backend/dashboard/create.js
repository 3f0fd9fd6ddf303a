// The dialog that declares an experiment. For a new experiment it ends with the snippet to paste.

const ROLES = { primary: "primary", secondary: "secondary", guardrail: "guardrail" };
const KINDS = { unique: "once per visitor", total: "every time" };

/** Open the dialog. `declare` receives a name, a definition and the form. */
function openCreate(declare) {
  const content = h("div", { class: "settings" },
    entry("Name", h("input", { name: "experiment", ...UNASSISTED })),
    rowList("variants", "The first is the baseline, which the others are compared with.", 2, 2),
    rowList("goals", "The primary goal decides. A guardrail must not get worse.", 0, 1),
    entry("Hypothesis (optional)", h("textarea", { name: "hypothesis", rows: 2 })),
    entry("Planned visitors (optional)", numberField({ name: "planned_visitors", step: 1 }),
      h("small", {}, h("code", {}, "gimel sample-size"), " computes how many are needed")));
  // The backend says that a blank name is empty.
  const nameIn = (form) => form.elements.experiment.value.trim() || " ";
  const form = openForm("New experiment", content, "Create",
    (form) => declare(nameIn(form), definitionIn(form), form));
  form.elements.experiment.focus();
}

const UNASSISTED = { autocomplete: "off", spellcheck: "false", autocapitalize: "off" };

/** Create a labelled field that has room for an error, and for a hint. */
const entry = (label, field, hint) =>
  h("div", { class: "entry" }, h("label", { class: "field" }, h("span", {}, label), field, hint));

const textEntry = (label, field) => entry(label, h("input", { "data-field": field, ...UNASSISTED }));

const selectEntry = (label, field, all) =>
  entry(label, h("select", { "data-field": field },
    Object.entries(all).map(([value, text]) => h("option", { value }, text))));

const checkEntry = (label, field, value) =>
  h("div", { class: "entry" }, h("label", { class: "check" },
    h("input", { type: "checkbox", "data-field": field, value }), h("span", {}, label)));

const FIELDS = {
  variants: () => [
    textEntry("Variant", "name"),
    entry("Weight", numberField({ "data-field": "weight", placeholder: "equal" })),
  ],
  goals: () => [
    textEntry("Goal", "name"),
    selectEntry("Role", "role", ROLES),
    selectEntry("Counts", "kind", KINDS),
    checkEntry("Lower is better", "better", "lower"),
    checkEntry("Counts only events with a key", "from", "server"),
  ],
};

/** Create a list of rows with a button that adds one and buttons that remove one. */
function rowList(list, hint, minimum, size) {
  const word = list.slice(0, -1);
  const makeRow = () => h("div", { class: "row", role: "group" }, FIELDS[list](),
    h("button", { class: "button remove", type: "button" }, h("span", { "aria-hidden": "true" }, "×")));
  const box = h("div", { class: "rows", "data-list": list }, Array.from({ length: size }, makeRow));
  const add = h("button", { class: "button", type: "button" }, `Add ${word}`);
  const number = () => [...box.children].forEach((row, index, all) => numberRow(row, word, index, all.length > minimum));
  add.addEventListener("click", () => {
    box.append(makeRow());
    number();
    if (list === "goals" && box.children.length > 1) box.lastChild.querySelector("select").value = "secondary";
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

function definitionIn(form) {
  const { hypothesis, planned_visitors: plan } = form.elements;
  const fieldsIn = (row) => Object.fromEntries(
    [...row.querySelectorAll("[data-field]")].map((field) => [field.dataset.field, valueOf(field)]));
  const listOf = (list) => [...form.querySelectorAll(`[data-list="${list}"] .row`)].map(fieldsIn);
  return {
    variants: listOf("variants"),
    goals: listOf("goals"),
    hypothesis: hypothesis.value.trim() || null,
    planned_visitors: valueOf(plan),
  };
}

/** Return a field's value; null stands for the default. */
function valueOf(field) {
  if (field.type === "checkbox") return field.checked ? field.value : null;
  // The backend refuses a text where it wants a number.
  if (field.type === "number") return field.validity.badInput ? "" : field.value === "" ? null : field.valueAsNumber;
  return field.value.trim();
}

/** Show the snippet for a new experiment. `done` leads to its page. */
function showSnippet(url, namespace, name, { variants, goals }, done) {
  const others = goals.filter(({ from }) => from);
  const names = { experiment: name, variants, goals: goals.filter(({ from }) => !from).map((goal) => goal.name) };
  const content = [
    h("p", {}, "Paste this into your page. A click on an element with the attribute ",
      h("code", {}, "data-gimel-goal=\"…\""), " counts as reaching that goal, and so does the submission of a form."),
    snippetBox(snippet(url, namespace, names)),
    others.length > 0 && h("p", { class: "soft" }, "The snippet does not send ",
      others.map((goal, index) => [index > 0 && ", ", bdi(goal.name)]),
      ": such events need a key. Send them from your server."),
  ];
  openForm([bdi(name), " is ready"], content, "Done", done, { isLast: true })
    .querySelector("[data-action=copy]").focus();
}
