/** Tables that scroll on a narrow screen, with a head and one line for each thing. */

import { h } from "./dom.js";

/**
 * @param {string} label
 * @param {{ text: string, isNumber?: boolean, hint?: string }[]} columns
 * @param {any[][]} rows  what is in the cells; the first of each names its row
 * @param {(row: number) => string} [kind]  a class for a row
 */
export function dataTable(label, columns, rows, kind = () => "") {
  const tag = (name, column) => (column.isNumber ? `${name}.number` : name);
  const head = columns.map((column) =>
    h(tag("th", column), { scope: "col", title: column.hint }, column.text),
  );
  const line = (cells, i) => {
    const [name, ...others] = cells;
    const rest = others.map((cell, k) => h(tag("td", columns[k + 1]), cell));
    return h(kind(i) ? `tr.${kind(i)}` : "tr", h("th", { scope: "row" }, name), rest);
  };
  return scrolling(
    label,
    "panel",
    h("table", h("thead", h("tr", head)), h("tbody", rows.map(line))),
  );
}

/** A region that scrolls sideways, by keyboard too. */
export function scrolling(label, kinds, content) {
  const kind = ["div", "scroll", ...kinds.split(" ").filter(Boolean)].join(".");
  return h(kind, { tabindex: "0", role: "region", "aria-label": label }, content);
}
