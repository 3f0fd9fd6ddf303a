// @ts-check
// The dialog: a form, and the errors of the backend at its fields.

import { BackendError } from "./api.mjs";
import { byId, capitalized, find, h } from "./dom.mjs";
/** @import { Attributes, Child, Field, Form } from "./types.d.ts" */

/** @returns {HTMLDialogElement} */
export const dialog = () => byId("dialog");

/**
 * Show a form in the dialog. `submit` receives the form; the dialog shows its BackendError.
 * @param {Child} title
 * @param {Child} content
 * @param {string} label
 * @param {(form: Form) => any} submit
 * @param {{ aside?: Child, danger?: boolean, disabled?: boolean, isLast?: boolean }} [extras]
 * @returns {Form}
 */
export function openForm(title, content, label, submit, extras = {}) {
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

/**
 * @param {Form} form
 * @param {HTMLButtonElement} button
 * @param {(form: Form) => any} submit
 */
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

/** @param {Form} form */
function clearErrors(form) {
  find(form, "#dialog-error").textContent = "";
  for (const note of form.querySelectorAll(".entry > .error")) note.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

// The paths of fields in the backend's messages, as in "variants[1].name is missing; goals[0] …"
const PATH = /(?:^|; )(experiment|hypothesis|planned_visitors|(?:variants|goals)(?:\[\d+\]\.\w+)?) /i;

/**
 * Show each mistake that the error names at its field, the rest below the form. Focus the first.
 * @param {Form} form
 * @param {BackendError} error
 */
function showError(form, { message, field }) {
  const fields = /** @type {Field[]} */ ([...form.elements]);
  /** @param {string | undefined} path */
  const fieldOf = (path) => fields.find(({ name }) => name && (name === path || name.startsWith(`${path}[`)));
  const [text, ...parts] = message.replace(/\.$/, "").split(PATH);
  const rest = text ? [message] : [];
  for (let at = 0; at < parts.length; at += 2) {
    const path = parts[at][0].toLowerCase() + parts[at].slice(1);
    const found = fieldOf(path);
    if (found?.closest(".entry")) markField(found, path, parts[at + 1]);
    else rest.push(`${parts[at]} ${parts[at + 1]}.`);
  }
  find(form, "#dialog-error").textContent = rest.join(" ");
  (fieldOf(field) ?? find(form, "[aria-invalid]"))?.focus();
}

/**
 * @param {Field} field
 * @param {string} path
 * @param {string} complaint
 */
function markField(field, path, complaint) {
  const isList = field.name !== path;
  const label = isList ? capitalized(path) : field.closest("label")?.querySelector("span")?.textContent;
  const id = `error-${field.name}`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.closest(".entry")?.append(h("p", { class: "error", id }, `${label} ${complaint}.`));
}

/** @param {Attributes} attributes */
export const numberField = (attributes) =>
  h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", ...attributes });
