// @ts-check
// The dialogs that change an experiment: its settings, and the confirmations before it is stopped
// or deleted.

import { numberField, openForm } from "./dialog.mjs";
import { bdi, find, h, options, span } from "./dom.mjs";
import { isFixed } from "./experiments.mjs";
/** @import { Child, Experiment, Field, Form } from "./types.d.ts" */

/**
 * @param {string} name
 * @param {string} label
 * @param {string[]} all
 * @param {string | null} current
 */
const select = (name, label, all, current) =>
  h("label", { class: "field" }, h("span", {}, label), h("select", { name }, options(all, current)));

/**
 * @param {Experiment} experiment
 * @param {(body: Record<string, any>) => any} change
 */
export function openSettings(experiment, change) {
  const { definition } = experiment;
  const labels = definition?.variants.map(({ name }) => name) ?? experiment.variants.map(({ label }) => label);
  const goals = definition?.goals.map(({ name }) => name) ?? experiment.goals.map(({ goal }) => goal);
  const content = h("div", { class: "settings" },
    definition && textFields(definition),
    isFixed(experiment) && h("p", { class: "soft", id: "fixed" }, "The disabled fields are fixed since the first event. "
      + "To change them, start another experiment: ", h("code", {}, "gimel create NEW --like OLD"), "."),
    fixable(isFixed(experiment),
      select("baseline", "Baseline: the variant others are compared with", labels, experiment.baseline),
      goals.length > 0
        && select("primary_goal", "Primary goal: the goal that the overview shows", goals, experiment.primary_goal)),
    // Weights that were never set may be set once.
    fixable(isFixed(experiment) && !!definition?.variants.some(({ weight }) => weight != null),
      weightFields(experiment, labels)),
    fixable(isFixed(experiment),
      equivalenceField(experiment),
      goals.length > 0 && totalFields(experiment, goals)));
  const aside = h("button", { class: "button danger", type: "button", "data-action": "delete" }, "Delete…");
  const title = ["Settings of ", bdi(experiment.experiment)];
  openForm(title, content, "Save", (form) => change(changedFields(form, labels)), { aside });
}

/**
 * @param {boolean | null} isFixed
 * @param {...Child} fields
 */
const fixable = (isFixed, ...fields) =>
  h("fieldset", { class: "settings", disabled: isFixed, "aria-describedby": isFixed && "fixed" }, fields);

/** @type {Record<string, string>} */
const TEXTS = { hypothesis: "Hypothesis", owner: "Owner", link: "Link" };

/** @param {any} texts */
const textFields = (texts) => Object.entries(TEXTS).map(([name, label]) =>
  h("label", { class: "field" }, h("span", {}, label),
    name === "hypothesis" ? h("textarea", { name, rows: 2, dir: "auto" }, texts[name]) : h("input", { name, value: texts[name], dir: "auto" })));

/**
 * @param {Experiment} experiment
 * @param {string[]} labels
 */
function weightFields({ srm }, labels) {
  /** @param {string} label */
  const share = (label) => Number(((srm.weights[label] ?? 0) * 100).toFixed(2));
  return h("fieldset", {},
    h("legend", {}, "Weights: the intended share of visitors for each variant"),
    labels.map((label) => h("label", { class: "weight" },
      bdi(label, { class: "cut", title: label }),
      numberField({ name: "weights", value: share(label) }), span("soft", "%"))));
}

/** @param {Experiment} experiment */
function equivalenceField({ equivalence }) {
  const value = equivalence == null ? "" : Number((equivalence * 100).toPrecision(6));
  return h("label", { class: "field" },
    h("span", {}, "Equivalence: the largest lift (±, in percent) that does not matter"),
    numberField({ name: "equivalence", max: 100, value, placeholder: "none" }));
}

/**
 * @param {Experiment} experiment
 * @param {string[]} names
 */
function totalFields({ goals, definition }, names) {
  const kinds = definition?.goals ?? goals.map(({ goal: name, kind }) => ({ name, kind }));
  const totals = kinds.filter(({ kind }) => kind === "total").map(({ name }) => name);
  return h("fieldset", {},
    h("legend", {}, "Goals that a visitor may reach many times"),
    names.map((name) => h("label", { class: "check" },
      h("input", { type: "checkbox", name: "totals", value: name, checked: totals.includes(name) }), bdi(name))));
}

/** @param {Field} field */
const isChanged = (field) =>
  field.selectedOptions ? !field.selectedOptions[0].defaultSelected
    : field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;

/**
 * Return the changed fields of the form, as the body of POST /settings.
 * @param {Form} form
 * @param {string[]} labels
 */
function changedFields(form, labels) {
  /** @type {Record<string, any>} */
  const body = {};
  for (const field of /** @type {Iterable<Field>} */ (form.elements)) {
    if (field.name && isChanged(field)) body[field.name] = settingOf(field, form, labels);
  }
  return body;
}

/**
 * @param {Field} field
 * @param {Form} form
 * @param {string[]} labels
 */
function settingOf({ name, value }, form, labels) {
  const all = /** @type {Field[]} */ ([...form.querySelectorAll(`[name="${name}"]`)]);
  if (name === "totals") return all.filter((box) => box.checked).map((box) => box.value);
  if (name === "weights") return weightsOf(all, labels);
  if (name in TEXTS) return value.trim() || null;
  if (name === "equivalence") return value === "" ? null : Number((Number(value) / 100).toPrecision(12));
  return value;
}

/**
 * @param {Field[]} all
 * @param {string[]} labels
 */
function weightsOf(all, labels) {
  // Equal weights are the default. Sent as null, they include variants that appear later.
  if (new Set(all.map((field) => field.value)).size === 1) return null;
  return Object.fromEntries(all.map((field, index) => [labels[index], field.valueAsNumber]));
}

/**
 * @param {Experiment} experiment
 * @param {(body: Record<string, any>) => any} change
 */
export function confirmStop(experiment, change) {
  const content = h("p", {}, "The backend still accepts the events of its pages, but counts none until you "
    + "resume it. The figures stay.");
  openForm(["Stop ", bdi(experiment.experiment), "?"], content, "Stop", () => change({ state: "stopped" }));
}

/**
 * @param {Experiment} experiment
 * @param {() => Promise<void>} deleteIt
 */
export function confirmDelete({ experiment: name }, deleteIt) {
  // A name with characters that cannot be seen or typed must not prevent the deletion.
  const word = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,60}$/u.test(name) ? name : "delete";
  const content = [
    h("p", {}, "This deletes its counts and settings for everyone, and cannot be undone. Late events from "
      + "old pages are not counted. To use the name again, run ", h("code", {}, "gimel delete --forget"), "."),
    h("label", { class: "field" }, h("span", {}, "To confirm, type ", h("strong", {}, bdi(word))),
      h("input", { name: "confirm", autocomplete: "off", spellcheck: "false", autocapitalize: "off", dir: "auto" })),
  ];
  const form = openForm(["Delete ", bdi(name), "?"], content, "Delete", deleteIt, { danger: true, disabled: true });
  const field = form.elements.confirm;
  field.addEventListener("input", () => {
    find(form, "[type=submit]").disabled = field.value.trim().normalize() !== word.trim().normalize();
  });
  field.focus();
}

/**
 * @param {Experiment} experiment
 * @param {(part: any) => Promise<void>} deleteIt
 */
export function openDeletePart({ experiment: name, variants, goals }, deleteIt) {
  const parts = [...goals.map(({ goal }) => ["goal", goal]), ...variants.map(({ label }) => ["variant", label])];
  const content = [
    h("label", { class: "field" }, h("span", {}, "Delete the counts of"),
      h("select", { name: "part" }, parts.map((part, index) => h("option", { value: index, dir: "auto" }, part.join(" "))))),
    h("p", {}, "This cannot be undone. Later events of this name make it anew: remove it from your pages first, or declare the experiment."),
  ];
  openForm(["Delete a part of ", bdi(name)], content, "Delete",
    ({ elements }) => deleteIt(Object.fromEntries([parts[elements.part.value]])), { danger: true });
}
