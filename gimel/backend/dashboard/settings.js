// Dialogs. This file holds what all of them share, and those that change an experiment: its settings, the confirmation before stopping it, and the typed
// confirmation before deleting it.

const dialog = () => document.getElementById("dialog");

/** Show a form in the dialog. `submit` receives the form; the dialog shows its BackendError. */
function openForm(title, content, label, submit, extras = {}) {
  const kind = `button ${extras.danger ? "danger" : "main"}`;
  const button = h("button", { class: kind, type: "submit", disabled: extras.disabled }, label);
  const cancel = !extras.isLast
    && h("button", { class: "button", type: "button", "data-action": "close" }, "Cancel");
  const form = h("form", { novalidate: true },
    h("h2", { id: "dialog-title" }, title), content,
    h("p", { class: "error", id: "dialog-error", role: "alert" }),
    h("div", { class: "tools" }, extras.aside, cancel, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitForm(form, button, submit);
  });
  dialog().replaceChildren(form);
  if (!dialog().open) dialog().showModal();
  dialog().scrollTop = 0;
  return form;
}

async function submitForm(form, button, submit) {
  button.disabled = true;
  clearErrors(form);
  try {
    await submit(form);
    // A form that opened another one was replaced by it.
    if (form.isConnected) dialog().close();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    showError(form, error);
  }
  button.disabled = false;
}

function clearErrors(form) {
  form.querySelector("#dialog-error").textContent = "";
  for (const note of form.querySelectorAll(".entry > .error")) note.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

// The paths of fields in the backend's messages, as in "variants[1].name is missing; goals[0] …"
const PATH = /(?:^|; )(experiment|hypothesis|planned_visitors|(?:variants|goals)(?:\[\d+\]\.\w+)?) /i;

/** Show each mistake that the error names at its field, the rest below the form. Focus the first. */
function showError(form, { message, field }) {
  const fieldOf = (path) => [...form.elements].find(({ name }) => name && (name === path || name.startsWith(`${path}[`)));
  const [text, ...parts] = message.replace(/\.$/, "").split(PATH);
  const rest = text ? [message] : [];
  for (let at = 0; at < parts.length; at += 2) {
    const path = parts[at][0].toLowerCase() + parts[at].slice(1);
    const found = fieldOf(path);
    if (found?.closest(".entry")) markField(found, path, parts[at + 1]);
    else rest.push(`${parts[at]} ${parts[at + 1]}.`);
  }
  form.querySelector("#dialog-error").textContent = rest.join(" ");
  (fieldOf(field) ?? form.querySelector("[aria-invalid]"))?.focus();
}

function markField(field, path, complaint) {
  const isList = field.name !== path;
  const label = isList ? capitalized(path) : field.closest("label").querySelector("span").textContent;
  const id = `error-${field.name}`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.closest(".entry").append(h("p", { class: "error", id }, `${label} ${complaint}.`));
}

const select = (name, label, all, current) =>
  h("label", { class: "field" }, h("span", {}, label), h("select", { name }, options(all, current)));

const numberField = (attributes) =>
  h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", ...attributes });

function openSettings(experiment, change) {
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
    fixable(isFixed(experiment) && definition.variants.some(({ weight }) => weight != null),
      weightFields(experiment, labels)),
    fixable(isFixed(experiment),
      equivalenceField(experiment),
      goals.length > 0 && totalFields(experiment, goals)));
  const aside = h("button", { class: "button danger", type: "button", "data-action": "delete" }, "Delete…");
  const title = ["Settings of ", bdi(experiment.experiment)];
  openForm(title, content, "Save", (form) => change(changedFields(form, labels)), { aside });
}

/** Return whether the events so far have fixed what the experiment declares. */
const isFixed = (experiment) => experiment.declared && visitors(experiment) > 0;

const fixable = (isFixed, ...fields) =>
  h("fieldset", { class: "settings", disabled: isFixed, "aria-describedby": isFixed && "fixed" }, fields);

const TEXTS = { hypothesis: "Hypothesis", owner: "Owner", link: "Link" };

const textFields = (definition) => Object.entries(TEXTS).map(([name, label]) =>
  h("label", { class: "field" }, h("span", {}, label),
    name === "hypothesis" ? h("textarea", { name, rows: 2 }, definition[name]) : h("input", { name, value: definition[name] })));

function weightFields({ srm }, labels) {
  const share = (label) => Number(((srm.weights[label] ?? 0) * 100).toFixed(2));
  return h("fieldset", {},
    h("legend", {}, "Weights: the intended share of visitors for each variant"),
    labels.map((label) => h("label", { class: "weight" },
      bdi(label, { class: "cut", title: label }),
      numberField({ name: "weights", value: share(label) }), span("soft", "%"))));
}

function equivalenceField({ equivalence }) {
  const value = equivalence == null ? "" : Number((equivalence * 100).toPrecision(6));
  return h("label", { class: "field" },
    h("span", {}, "Equivalence: the largest lift (±, in percent) that does not matter"),
    numberField({ name: "equivalence", max: 100, value, placeholder: "none" }));
}

function totalFields({ goals, definition }, names) {
  const totals = (definition?.goals ?? goals).filter(({ kind }) => kind === "total").map(({ goal, name }) => goal ?? name);
  return h("fieldset", {},
    h("legend", {}, "Goals that a visitor may reach many times"),
    names.map((name) => h("label", { class: "check" },
      h("input", { type: "checkbox", name: "totals", value: name, checked: totals.includes(name) }), bdi(name))));
}

const isChanged = (field) =>
  field instanceof HTMLSelectElement ? !field.selectedOptions[0].defaultSelected
    : field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;

/** Return the changed fields of the form, as the body of POST /settings. */
function changedFields(form, labels) {
  const body = {};
  for (const field of form.elements) {
    if (field.name && isChanged(field)) body[field.name] = settingOf(field, form, labels);
  }
  return body;
}

function settingOf({ name, value }, form, labels) {
  const all = [...form.querySelectorAll(`[name="${name}"]`)];
  if (name === "totals") return all.filter((box) => box.checked).map((box) => box.value);
  if (name === "weights") return weightsOf(all, labels);
  if (name in TEXTS) return value.trim() || null;
  if (name === "equivalence") return value === "" ? null : Number((Number(value) / 100).toPrecision(12));
  return value;
}

function weightsOf(all, labels) {
  // Equal weights are the default. Sent as null, they include variants that appear later.
  if (new Set(all.map((field) => field.value)).size === 1) return null;
  return Object.fromEntries(all.map((field, index) => [labels[index], field.valueAsNumber]));
}

function confirmStop(experiment, change) {
  const content = h("p", {}, "The backend still accepts the events of its pages, but counts none until you "
    + "resume it. The figures stay.");
  openForm(["Stop ", bdi(experiment.experiment), "?"], content, "Stop", () => change({ state: "stopped" }));
}

function confirmDelete({ experiment: name }, deleteIt) {
  // A name with characters that cannot be seen or typed must not prevent the deletion.
  const word = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,60}$/u.test(name) ? name : "delete";
  const content = [
    h("p", {}, "This deletes its counts and settings for everyone, and cannot be undone. Late events from "
      + "old pages are not counted. To use the name again, run ", h("code", {}, "gimel delete --forget"), "."),
    h("label", { class: "field" }, h("span", {}, "To confirm, type ", h("strong", {}, bdi(word))),
      h("input", { name: "confirm", autocomplete: "off", spellcheck: "false", autocapitalize: "off" })),
  ];
  const form = openForm(["Delete ", bdi(name), "?"], content, "Delete", deleteIt, { danger: true, disabled: true });
  const field = form.elements.confirm;
  field.addEventListener("input", () => {
    form.querySelector("[type=submit]").disabled = field.value.trim().normalize() !== word.trim().normalize();
  });
  field.focus();
}
