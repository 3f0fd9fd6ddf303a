// Elements from data. Text becomes text nodes, values become attributes: nothing is ever parsed as
// markup, so a name can be no more than a name.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "use", "line", "rect", "circle", "path", "text"]);

/** An element. An attribute that is true is empty; one that is false or null is left out. */
function h(tag, attributes, ...children) {
  const made = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return made;
}

/**
 * A name from the open endpoint: its direction stays its own. One that opens an isolate and does not
 * close it reaches past a plain <bdi>, not past a box.
 */
function bdi(name, { class: kind = "", ...attributes } = {}) {
  const classes = `${kind} ${/[\u202a-\u202e\u2066-\u2069]/.test(name) ? "boxed" : ""}`.trim();
  return h("bdi", { class: classes || null, ...attributes }, name);
}

const span = (kind, ...children) => h("span", { class: kind }, ...children);

const options = (all, current) =>
  all.map((name) => h("option", { value: name, selected: name === current }, name));

const icon = (name) => h("svg", { class: "icon", "aria-hidden": "true" }, h("use", { href: `#i-${name}` }));

/** Make `old` what `fresh` is, in place: focus, scroll and open details stay as they are. */
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

const alike = (a, b) => a && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function patchChildren(old, fresh) {
  const keyed = new Map([...old.children].map((child) => [keyOf(child), child]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    const found = key === undefined ? place : keyed.get(key);
    if (!alike(found, wanted)) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (found === place) place = place.nextSibling;
    else if (old.moveBefore) old.moveBefore(found, place);
    else old.insertBefore(found, place);
    if (found.nodeType === Node.ELEMENT_NODE) patchElement(found, wanted);
    else if (found.data !== wanted.data) found.data = wanted.data;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
