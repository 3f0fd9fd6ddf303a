// Functions that build and update elements. Text becomes text nodes and values become attributes.
// Nothing is parsed as markup, so a hostile name stays text.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "use", "line", "rect", "circle", "path", "text"]);

/** Create an element. An attribute that is true becomes empty; false and null are left out. */
function h(tag, attributes, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/**
 * Create an element for a name from the open endpoint, isolated from the direction of its
 * surroundings. A name may open an isolate without closing it. That affects text after a plain <bdi>,
 * so such a name gets a box of its own.
 */
function bdi(name, { class: kind = "", ...attributes } = {}) {
  const classes = `${kind} ${/[\u202a-\u202e\u2066-\u2069]/.test(name) ? "boxed" : ""}`.trim();
  return h("bdi", { class: classes || null, ...attributes }, name);
}

const span = (kind, ...children) => h("span", { class: kind }, ...children);

const options = (all, current) =>
  all.map((name) => h("option", { value: name, selected: name === current }, name));

const capitalized = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

const icon = (name) => h("svg", { class: "icon", "aria-hidden": "true" }, h("use", { href: `#i-${name}` }));

/** Update `old` in place to match `fresh`. Focus, scroll position and open details stay. */
function patch(old, fresh) {
  const focused = document.activeElement;
  patchElement(old, fresh);
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

function patchElement(old, fresh) {
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

const keyOf = (node) => node.dataset?.key;

const isSameNode = (a, b) => a && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function patchChildren(old, fresh) {
  const keyed = new Map([...old.children].map((child) => [keyOf(child), child]));
  let current = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    const match = key === undefined ? current : keyed.get(key);
    if (!isSameNode(match, wanted)) {
      old.insertBefore(wanted, current);
      continue;
    }
    if (match === current) current = current.nextSibling;
    else if (old.moveBefore) old.moveBefore(match, current);
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
