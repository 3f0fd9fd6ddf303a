// Dialogs that change an experiment: settings, a question before stopping, a typed one before
// deleting.

const dialog = () => document.getElementById("dialog");

/** Show a form in the dialog. `submit` gets the form; a Refusal that it throws is shown in it. */
function openForm(title, content, label, submit, extras = {}) {
  const button = h("button", { class: `button ${extras.danger ? "danger" : "main"}`, type: "submit", disabled: extras.disabled }, label);
  const form = h("form", { novalidate: true },
    h("h2", { id: "dialog-title" }, title), content, h("p", { class: "error", id: "dialog-error", role: "alert" }),
    h("div", { class: "tools" }, extras.aside, h("button", { class: "button", type: "button", "data-action": "close" }, "Cancel"), button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, button, submit);
  });
  dialog().replaceChildren(form);
  dialog().showModal();
  return form;
}

async function send(form, button, submit) {
  button.disabled = true;
  try {
    await submit(form);
    dialog().close();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    form.querySelector("#dialog-error").textContent = error.message;
    form.querySelector(`[name="${CSS.escape(error.field ?? "")}"]`)?.focus();
  }
  button.disabled = false;
}

const select = (name, label, options, current) =>
  h("label", { class: "field" }, h("span", {}, label),
    h("select", { name }, options.map((option) => h("option", { value: option, selected: option === current }, option))));

function openSettings(experiment, change) {
  const labels = experiment.variants.map((variant) => variant.label);
  const goals = experiment.goals.map((goal) => goal.goal);
  const share = (label) => Number(((experiment.srm.weights[label] ?? 0) * 100).toFixed(2));
  const content = h("div", { class: "settings" },
    select("baseline", "Baseline: the variant others are compared with", labels, experiment.baseline),
    goals.length > 0 && select("primary_goal", "Primary goal: the one in the overview", goals, experiment.primary_goal),
    h("fieldset", {}, h("legend", {}, "Weights: the share of visitors each variant is meant to get"),
      labels.map((label) => h("label", { class: "weight" }, bdi(label, { class: "cut", title: label }),
        h("input", { name: "weights", type: "number", min: 0, step: "any", value: share(label), inputmode: "decimal" }), h("span", { class: "soft" }, "%")))),
    h("label", { class: "field" }, h("span", {}, "Equivalence: a lift within this many percent, either way, is not worth finding"),
      h("input", { name: "equivalence", type: "number", min: 0, max: 100, step: "any", value: experiment.equivalence == null ? "" : Number((experiment.equivalence * 100).toPrecision(6)), inputmode: "decimal", placeholder: "none" })),
    goals.length > 0 && h("fieldset", {}, h("legend", {}, "Goals that a visitor may reach many times"),
      experiment.goals.map((goal) => h("label", { class: "check" },
        h("input", { type: "checkbox", name: "totals", value: goal.goal, checked: goal.kind === "total" }), bdi(goal.goal)))));
  const aside = h("button", { class: "button danger", type: "button", "data-action": "delete" }, "Delete…");
  openForm(["Settings of ", bdi(experiment.experiment)], content, "Save", (form) => change(changed(form, labels)), { aside });
}

const wasChanged = (field) =>
  field instanceof HTMLSelectElement ? !field.selectedOptions[0].defaultSelected
    : field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;

/** What of the form differs from what it was opened with, as the body of POST /settings. */
function changed(form, labels) {
  const body = {};
  for (const field of form.elements) {
    if (field.name && wasChanged(field)) body[field.name] = valueOf(field, form, labels);
  }
  return body;
}

function valueOf({ name, value }, form, labels) {
  const all = [...form.querySelectorAll(`[name="${name}"]`)];
  if (name === "totals") return all.filter((box) => box.checked).map((box) => box.value);
  // A variant that comes later has a share too as long as nothing is said.
  if (name === "weights") return new Set(all.map((field) => field.value)).size === 1 ? null : Object.fromEntries(all.map((field, place) => [labels[place], field.valueAsNumber]));
  if (name === "equivalence") return value === "" ? null : Number((Number(value) / 100).toPrecision(12));
  return value;
}

function askToStop(experiment, change) {
  const content = h("p", {}, "Its events are still taken, so no page notices, but none is counted until you resume it. The figures stay.");
  openForm(["Stop ", bdi(experiment.experiment), "?"], content, "Stop", () => change({ state: "stopped" }));
}

function askToDelete({ experiment: name }, forget) {
  // Marks that one cannot see or type must not make an experiment undeletable.
  const word = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,60}$/u.test(name) ? name : "delete";
  const content = [
    h("p", {}, "Its counts and settings are gone then, for everyone; nothing brings them back."),
    h("label", { class: "field" }, h("span", {}, "To confirm, type ", h("strong", {}, bdi(word))),
      h("input", { name: "confirm", autocomplete: "off", spellcheck: "false", autocapitalize: "off" })),
  ];
  const form = openForm(["Delete ", bdi(name), "?"], content, "Delete", forget, { danger: true, disabled: true });
  const field = form.elements.confirm;
  field.addEventListener("input", () => {
    form.querySelector("[type=submit]").disabled = field.value.trim().normalize() !== word.trim().normalize();
  });
  field.focus();
}
