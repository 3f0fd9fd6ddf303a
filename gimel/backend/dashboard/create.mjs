// @ts-check
// The dialog that declares an experiment. For a new experiment it ends with the snippet to paste.

import { numberField, openForm } from "./dialog.mjs";
import { bdi, capitalized, find, h } from "./dom.mjs";
import { snippet } from "./snippet.mjs";
/** @import { Child, DeclaredGoal, Definition, Field, Form } from "./types.d.ts" */

const ROLES = { primary: "primary", secondary: "secondary", guardrail: "guardrail" };
const KINDS = { unique: "once per visitor", total: "every time" };

/**
 * Open the dialog. `declare` receives a name, a definition and the form.
 * @param {(name: string, definition: Definition, form: Form) => any} declare
 */
export function openCreate(declare) {
  const content = h("div", { class: "settings" },
    entry("Name", h("input", { name: "experiment", ...UNASSISTED })),
    rowList("variants", "The first is the baseline, which the others are compared with.", 2, 2),
    rowList("goals", "The primary goal decides. A guardrail must not get worse.", 0, 1),
    entry("Hypothesis (optional)", h("textarea", { name: "hypothesis", rows: 2, dir: "auto" })),
    entry("Planned visitors (optional)", numberField({ name: "planned_visitors", step: 1 }),
      h("small", {}, h("code", {}, "gimel sample-size"), " computes how many are needed")));
  // The backend says that a blank name is empty.
  const form = openForm("New experiment", content, "Create",
    (form) => declare(form.elements.experiment.value.trim() || " ", definitionIn(form), form));
  form.elements.experiment.focus();
}

const UNASSISTED = { autocomplete: "off", spellcheck: "false", autocapitalize: "off", dir: "auto" };

/**
 * Create a labelled field that has room for an error, and for a hint.
 * @param {string} label
 * @param {Child} field
 * @param {Child} [hint]
 */
const entry = (label, field, hint) =>
  h("div", { class: "entry" }, h("label", { class: "field" }, h("span", {}, label), field, hint));

/**
 * @param {string} label
 * @param {string} field
 */
const textEntry = (label, field) => entry(label, h("input", { "data-field": field, ...UNASSISTED }));

/**
 * @param {string} label
 * @param {string} field
 * @param {Record<string, string>} all
 */
const selectEntry = (label, field, all) =>
  entry(label, h("select", { "data-field": field },
    Object.entries(all).map(([value, text]) => h("option", { value }, text))));

/**
 * @param {string} label
 * @param {string} field
 * @param {string} value
 */
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

/**
 * Create a list of rows with a button that adds one and buttons that remove one.
 * @param {"variants" | "goals"} list
 * @param {string} hint
 * @param {number} minimum
 * @param {number} size
 */
function rowList(list, hint, minimum, size) {
  const word = list.slice(0, -1);
  const makeRow = () => h("div", { class: "row", role: "group" }, FIELDS[list](),
    h("button", { class: "button remove", type: "button" }, h("span", { "aria-hidden": "true" }, "×")));
  const box = h("div", { class: "rows", "data-list": list }, Array.from({ length: size }, makeRow));
  const add = h("button", { class: "button", type: "button" }, `Add ${word}`);
  const number = () => [...box.children].forEach((row, index, all) => {
    numberRow(row, word, index, all.length > minimum);
  });
  add.addEventListener("click", () => {
    const row = makeRow();
    box.append(row);
    number();
    if (list === "goals" && box.children.length > 1) find(row, "select").value = "secondary";
    find(row, "input").focus();
  });
  box.addEventListener("click", ({ target }) => {
    const button = /** @type {Element} */ (target).closest(".remove");
    if (!button) return;
    button.closest(".row")?.remove();
    number();
    add.focus();
  });
  number();
  return h("fieldset", { class: `${word}-rows` }, h("legend", {}, h("strong", {}, capitalized(list)), " ", hint), box, add);
}

/**
 * Name a row's fields by the paths that the backend's errors have, e.g. `variants[1].name`.
 * @param {Element} row
 * @param {string} word
 * @param {number} index
 * @param {boolean} isRemovable
 */
function numberRow(row, word, index, isRemovable) {
  const title = `${capitalized(word)} ${index + 1}`;
  row.setAttribute("aria-label", title);
  find(row, "span").textContent = word === "variant" && index === 0 ? `${title} (baseline)` : title;
  for (const field of fieldsOf(row)) field.name = `${word}s[${index}].${field.dataset.field}`;
  find(row, ".remove").setAttribute("aria-label", `Remove ${title.toLowerCase()}`);
  find(row, ".remove").disabled = !isRemovable;
}

/**
 * @param {Element} row
 * @returns {Field[]}
 */
const fieldsOf = (row) => [...row.querySelectorAll("[data-field]")].map((field) => /** @type {Field} */ (field));

/**
 * @param {Form} form
 * @returns {any} the definition; the backend checks it
 */
function definitionIn(form) {
  const { hypothesis, planned_visitors: plan } = form.elements;
  /** @param {string} list */
  const listOf = (list) => [...form.querySelectorAll(`[data-list="${list}"] .row`)].map((row) =>
    Object.fromEntries(fieldsOf(row).map((field) => [field.dataset.field, valueIn(field)])));
  return {
    variants: listOf("variants"),
    goals: listOf("goals"),
    hypothesis: hypothesis.value.trim() || null,
    planned_visitors: valueIn(plan),
  };
}

/**
 * Return a field's value; null stands for the default.
 * @param {Field} field
 */
function valueIn(field) {
  if (field.type === "checkbox") return field.checked ? field.value : null;
  // The backend refuses a text where it wants a number.
  if (field.type === "number") return field.validity.badInput ? "" : field.value === "" ? null : field.valueAsNumber;
  return field.value.trim();
}

/**
 * Show the snippet for a new experiment. `done` leads to its page.
 * @param {string} namespace
 * @param {string} name
 * @param {Definition} definition
 * @param {() => void} done
 */
export function showSnippet(namespace, name, definition, done) {
  const content = experimentSnippet(namespace, name, definition);
  find(openForm([bdi(name), " is ready"], content, "Done", done, { isLast: true }), "[data-action=copy]").focus();
}

/**
 * Create the snippet for an experiment, and what it leaves out.
 * @param {string} namespace
 * @param {string} name
 * @param {Definition} definition
 */
export function experimentSnippet(namespace, name, { variants, goals, traffic }) {
  /** @param {DeclaredGoal} goal */
  const isInSnippet = ({ from }) => from !== "server";
  const others = goals.filter((goal) => !isInSnippet(goal));
  const names = { experiment: name, variants, goals: goals.filter(isInSnippet).map((goal) => goal.name), traffic };
  return [
    h("p", {}, "Paste this into your page. A click on an element with the attribute ",
      h("code", {}, "data-gimel-goal=\"…\""), " counts as reaching that goal, and so does the submission of a form."),
    snippetBox(snippet(eventsUrl(), namespace, names)),
    others.length > 0 && h("p", { class: "soft" }, "The snippet does not send ",
      others.map((goal, index) => [index > 0 && ", ", bdi(goal.name)]),
      ": such events need a key. Send them from your server."),
  ];
}

/** Return the address for events. */
export function eventsUrl() {
  const { origin, pathname } = new URL(find(document, "meta[name=gimel-events]").content, location.href);
  return `${origin}${pathname}`;
}

/**
 * @param {string} text
 * @param {string} [id]
 */
export const snippetBox = (text, id) =>
  h("div", { class: "snippet" },
    h("button", { class: "button", type: "button", "data-action": "copy" }, "Copy"),
    h("pre", { id, tabindex: 0, "aria-label": "The snippet" }, text),
    h("p", { class: "soft", role: "status" }));
