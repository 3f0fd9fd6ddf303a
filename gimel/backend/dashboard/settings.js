// Dialogs that change an experiment: its settings, the confirmation before stopping it, and the typed
// confirmation before deleting it.

const dialog = () => document.getElementById("dialog");

/** Show a form in the dialog. `submit` receives the form; the dialog shows its BackendError. */
function openForm(title, content, label, submit, extras = {}) {
  const kind = `button ${extras.danger ? "danger" : "main"}`;
  const button = h("button", { class: kind, type: "submit", disabled: extras.disabled }, label);
  const cancel = h("button", { class: "button", type: "button", "data-action": "close" }, "Cancel");
  const form = h("form", { novalidate: true },
    h("h2", { id: "dialog-title" }, title), content,
    h("p", { class: "error", id: "dialog-error", role: "alert" }),
    h("div", { class: "tools" }, extras.aside, cancel, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitForm(form, button, submit);
  });
  dialog().replaceChildren(form);
  dialog().showModal();
  return form;
}

async function submitForm(form, button, submit) {
  button.disabled = true;
  try {
    await submit(form);
    dialog().close();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    form.querySelector("#dialog-error").textContent = error.message;
    form.querySelector(`[name="${CSS.escape(error.field ?? "")}"]`)?.focus();
  }
  button.disabled = false;
}

const select = (name, label, all, current) =>
  h("label", { class: "field" }, h("span", {}, label), h("select", { name }, options(all, current)));

const numberField = (attributes) =>
  h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", ...attributes });

function openSettings(experiment, change) {
  const labels = experiment.variants.map((variant) => variant.label);
  const goals = experiment.goals.map((goal) => goal.goal);
  const content = h("div", { class: "settings" },
    select("baseline", "Baseline: the variant others are compared with", labels, experiment.baseline),
    goals.length > 0
      && select("primary_goal", "Primary goal: the goal that the overview shows", goals, experiment.primary_goal),
    weightFields(experiment, labels),
    equivalenceField(experiment),
    goals.length > 0 && totalFields(experiment));
  const aside = h("button", { class: "button danger", type: "button", "data-action": "delete" }, "Delete…");
  const title = ["Settings of ", bdi(experiment.experiment)];
  openForm(title, content, "Save", (form) => change(changedFields(form, labels)), { aside });
}

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

const totalFields = ({ goals }) =>
  h("fieldset", {},
    h("legend", {}, "Goals that a visitor may reach many times"),
    goals.map(({ goal, kind }) => h("label", { class: "check" },
      h("input", { type: "checkbox", name: "totals", value: goal, checked: kind === "total" }), bdi(goal))));

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
