/**
 * Elements, made without markup: what a server says ends in text nodes, never in HTML.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Set as properties, because the attribute of that name means something else or nothing. */
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "required"]);

/**
 * h("button.primary", { onclick }, "Draw")
 *
 * Of the properties, `on…` are listeners, null and false leave the attribute out, and true sets it
 * empty. Children may be nodes, text, numbers, lists of them, or null for none.
 *
 * @param {string} kind  a tag, and its classes after dots
 * @param {...any} rest  properties, if the first is a plain object; then children
 * @returns {any} the element; its type follows from the tag
 */
export function h(kind, ...rest) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  return furnish(element, rest);
}

/** The same for the elements of a drawing. */
export function svg(tag, ...rest) {
  return furnish(document.createElementNS(SVG, tag), rest);
}

/** Put new children in place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

const contents = new WeakMap();

/** Put new children only where they say something else: what has the focus in them keeps it. */
export function refill(element, meaning, make) {
  const key = JSON.stringify(meaning);
  if (contents.get(element) === key) return;
  contents.set(element, key);
  fill(element, make());
}

let counted = 0;

/** An id that nothing else on the page has. */
export function newId(prefix) {
  counted += 1;
  return `${prefix}-${counted}`;
}

/** A control under its label. */
export function field(label, control, hint = null) {
  control.id ||= newId("field");
  const said = hint && h("small", { id: newId("hint") }, hint);
  if (said) control.setAttribute("aria-describedby", said.id);
  return h("div.field", h("label", { for: control.id }, label), control, said);
}

/** A select of [value, text] pairs, or of groups {label, options}. */
export function select(options, value, properties = {}) {
  const option = ([key, text]) => h("option", { value: key, selected: key === value }, text);
  const entry = (item) =>
    Array.isArray(item)
      ? option(item)
      : h("optgroup", { label: item.label }, item.options.map(option));
  return h("select", properties, options.map(entry));
}

function furnish(element, rest) {
  const isPlain = rest[0]?.constructor === Object;
  const [properties, children] = isPlain ? [rest[0], rest.slice(1)] : [{}, rest];
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false);
}
