/** A solver table's times: where the state stands after each step, between noise and data. */

import { h, svg } from "./dom.js";
import { decimals } from "./format.js";
import { dataTable } from "./tables.js";

const WIDTH = 460;
const EDGE = 8;
const ROW = 34;
const RULE = { "rectified-flow": [0, 1], vp: [1, 0], ddpm: [999, -1] };

/**
 * @param {{ label: string, table: any }[]} entries  one line each, above one another
 */
export function timeLines(entries) {
  const height = entries.length * ROW + 18;
  const said = entries.map(
    ({ label, table }) => `${label}: ${table.times.map((time) => decimals(time, 3)).join(", ")}`,
  );
  const drawing = svg(
    "svg",
    {
      class: "times",
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-label": `Times. ${said.join(". ")}`,
    },
    entries.map(({ table, isOther }, i) => line(table, ROW * i + 16, isOther)),
    svg("text", { x: EDGE, y: height - 2 }, "noise"),
    svg("text", { x: WIDTH - EDGE, y: height - 2, "text-anchor": "end" }, "data"),
  );
  return drawing;
}

function line(table, y, isOther) {
  const [from, to] = RULE[table.schedule] ?? [table.times[0], table.times.at(-1)];
  const at = (time) => EDGE + ((time - from) / (to - from)) * (WIDTH - 2 * EDGE);
  const dots = table.times.map((time) =>
    svg(
      "circle",
      { cx: at(time), cy: y, r: 4.5, ...(isOther && { class: "other" }) },
      svg("title", decimals(time, 4)),
    ),
  );
  return svg("g", svg("line", { x1: EDGE, x2: WIDTH - EDGE, y1: y, y2: y }), dots);
}

const COLUMNS = [
  { text: "Step" },
  ...["Network time", "From", "To", "Carry"].map((text) => ({ text, isNumber: true })),
  { text: "Weights, oldest prediction first" },
];

/** Every number of a table, for reading and copying. */
export function numbers({ node_times: nodes, times, carry, weights }) {
  const rows = weights.map((row, n) => [
    n + 1,
    ...[nodes[n], times[n], times[n + 1], carry[n]].map((value) => decimals(value, 4)),
    h("span.mono", row.map((weight) => decimals(weight, 4)).join("  ")),
  ]);
  return h("details", h("summary", "All numbers"), dataTable("All numbers", COLUMNS, rows));
}
