// @ts-check
// Functions that build and update elements. Text becomes text nodes and values become attributes.
// Nothing is parsed as markup, so a hostile name stays text.

/** @import { Attributes, Child } from "./types.d.ts" */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "use", "line", "rect", "circle", "path", "text"]);

/**
 * Create an element. An attribute that is true becomes empty; false and null are left out.
 * @template {string} T
 * @param {T} tag
 * @param {Attributes | null} attributes
 * @param {...Child} children
 * @returns {T extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[T] : HTMLElement}
 */
export function h(tag, attributes, ...children) {
  /** @type {any} */
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  const all = /** @type {Child[]} */ (children.flat(/** @type {1} */ (Infinity)));
  element.append(...all.filter((child) => child != null && child !== false));
  return element;
}

/**
 * Create an element for a name from the open endpoint, isolated from the direction of its
 * surroundings. A name may open an isolate without closing it. That affects text after a plain <bdi>,
 * so such a name gets a box of its own.
 * @param {string} name
 * @param {Attributes} [given]
 */
export function bdi(name, { class: kind = "", ...attributes } = {}) {
  const classes = `${kind} ${/[\u202a-\u202e\u2066-\u2069]/.test(name) ? "boxed" : ""}`.trim();
  return h("bdi", { class: classes || null, ...attributes }, name);
}

/**
 * @param {string | null | false} kind
 * @param {...Child} children
 */
export const span = (kind, ...children) => h("span", { class: kind }, ...children);

/**
 * @param {string[]} all
 * @param {string | null} current
 */
export const options = (all, current) =>
  all.map((name) => h("option", { value: name, dir: "auto", selected: name === current }, name));

/** @param {string} text */
export const capitalized = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

/** @param {string} name */
export const icon = (name) => h("svg", { class: "icon", "aria-hidden": "true" }, h("use", { href: `#i-${name}` }));

/**
 * Return an element that index.html has.
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * Return the first match for a selector inside an element, where there is one.
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {any}
 */
export const find = (root, selector) => root.querySelector(selector);

// What elements that `later` made are built from
const builders = new WeakMap();

/**
 * Create an element that is built only when the page does not have it yet, or has it with another
 * content. Most rows of a long table do not change from one answer to the next.
 * @param {string} tag
 * @param {string} key
 * @param {string} content what the element shows, as a text to compare
 * @param {() => HTMLElement} build
 */
export function later(tag, key, content, build) {
  const stub = h(tag, { "data-key": key, "data-later": true });
  builders.set(stub, { content, build });
  return stub;
}

/**
 * Return the element that a stub stands for. Another element stands for itself.
 * @param {any} element
 * @returns {any}
 */
function built(element) {
  const { content, build } = builders.get(element) ?? {};
  if (!build) return element;
  const fresh = build();
  builders.set(fresh, { content });
  return fresh;
}

/**
 * Update `old` in place to match `fresh`. Focus, scroll position and open details stay.
 * @param {Element} old
 * @param {Element} fresh
 */
export function patch(old, fresh) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  patchElement(old, fresh);
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

/**
 * @param {Element} old
 * @param {Element} wanted
 */
function patchElement(old, wanted) {
  const content = builders.get(wanted)?.content;
  if (content !== undefined && content === builders.get(old)?.content) return;
  const fresh = built(wanted);
  if (content !== undefined) builders.set(old, { content });
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  patchChildren(old, fresh);
  const isField = old instanceof HTMLSelectElement || old instanceof HTMLInputElement;
  if (isField && old !== document.activeElement) old.value = fresh.value;
}

/** @param {Node} node */
const keyOf = (node) => /** @type {HTMLElement} */ (node).dataset?.key;
/**
 * @param {Node | null | undefined} a
 * @param {Node} b
 */
const isSameNode = (a, b) => a && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/**
 * @param {Element} old
 * @param {Element} fresh
 */
function patchChildren(old, fresh) {
  const keyed = new Map([...old.children].map((child) => [keyOf(child), child]));
  /** @type {any} */
  let current = old.firstChild;
  for (const wanted of /** @type {any[]} */ ([...fresh.childNodes])) {
    const key = keyOf(wanted);
    /** @type {any} */
    const match = key === undefined ? current : keyed.get(key);
    if (!isSameNode(match, wanted)) {
      for (const stub of wanted.querySelectorAll?.("[data-later]") ?? []) stub.replaceWith(built(stub));
      old.insertBefore(built(wanted), current);
      continue;
    }
    if (match === current) current = current.nextSibling;
    else if ("moveBefore" in Element.prototype) old.moveBefore(match, current);
    else old.insertBefore(match, current);
    if (match.nodeType === Node.ELEMENT_NODE) patchElement(match, wanted);
    else if (match.data !== wanted.data) match.data = wanted.data;
  }
  while (current) {
    const next = current.nextSibling;
    current.remove();
    current = next;
  }
}
