/** Curves over time or steps, by uPlot, in the colours of the page. */

import { fill, h, svg } from "./dom.js";
import { figure } from "./format.js";
import { colour, onScheme } from "./theme.js";

/** @typedef {{ label: string, colour: string, dash?: number[], width?: number }} Curve */

/**
 * A chart that fits its place, with a legend that reads out what is pointed at.
 *
 * @param {{ label: string, curves: Curve[], height?: number, logarithmic?: boolean,
 *           x?: (value: number) => string, y?: (value: number) => string,
 *           xRange?: (min: number, max: number) => [number, number], points?: boolean,
           isWhole?: boolean, isClose?: boolean }} options
 * @param {AbortSignal} signal
 * @returns {{ element: HTMLElement, draw: (columns: (number | null)[][]) => void }}
 */
export function chart(options, signal) {
  const { label, curves, height = 220 } = options;
  const say = { x: options.x ?? figure, y: options.y ?? figure };
  const place = h("div.chart", { role: "img", "aria-label": label });
  const keys = h("ul.chart-keys");
  let plot = null;
  let columns = [[], ...curves.map(() => [])];

  function make() {
    plot?.destroy();
    const made = new globalThis.uPlot(
      settings(options, say, place.clientWidth || 320, height),
      columns,
    );
    made.root.setAttribute("aria-hidden", "true");
    fill(place, made.root);
    plot = made;
    plot.hooks.setCursor = [() => readOut(plot.cursor.idx)];
    readOut(null);
  }

  function readOut(index) {
    const at = index ?? (columns[0].length ? columns[0].length - 1 : null);
    fill(
      keys,
      curves.map((curve, i) => {
        const value = at === null ? null : columns[i + 1][at];
        const said = value === null || value === undefined ? null : h("b", say.y(value));
        return h("li", sample(curve), curve.label, said);
      }),
    );
  }

  const sizes = new ResizeObserver(() => plot?.setSize({ width: place.clientWidth, height }));
  sizes.observe(place);
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    plot?.destroy();
  });
  onScheme(() => plot && make(), signal);

  return {
    element: h("div", keys, place),
    draw(next) {
      columns = next;
      if (plot === null) make();
      else plot.setData(columns);
      readOut(plot.cursor.idx);
      place.setAttribute("aria-label", `${label}. ${summary(curves, columns, say)}`);
    },
  };
}

function settings(options, say, width, height) {
  const axis = {
    stroke: colour("--faint"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
  };
  return {
    width,
    height,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: {
        time: false,
        ...(options.xRange && { range: (_, min, max) => options.xRange(min, max) }),
      },
      y: options.logarithmic ? { distr: 3 } : { range: rangeOf(options) },
    },
    axes: [
      {
        ...axis,
        size: 28,
        values: (_, values) => values.map((value) => (value === null ? "" : say.x(value))),
      },
      {
        ...axis,
        size: 60,
        ...(options.isWhole && { incrs: WHOLE }),
        values: (_, values) => values.map((value) => (value === null ? "" : say.y(value))),
      },
    ],
    series: [
      {},
      ...options.curves.map((curve) => ({
        label: curve.label,
        stroke: colour(curve.colour),
        width: curve.width ?? 2,
        dash: curve.dash,
        points: { show: options.points || isAlone, size: 6, fill: colour(curve.colour) },
      })),
    ],
  };
}

/** One value makes no line. */
function isAlone(plot, series) {
  return plot.data[series].filter((value) => value !== null).length === 1;
}

function rangeOf({ isWhole, isClose }) {
  if (isClose) return around;
  return isWhole ? upToFour : fromZero;
}

/** What matters is how it moves, not how large it is. */
function around(_, min, max) {
  const margin = (max - min || Math.abs(max) || 1) * 0.1;
  return [min - margin, max + margin];
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/** Of counts: a few are not a mountain. */
function upToFour(_, __, max) {
  return [0, Math.max(4, max * 1.1)];
}

/** A scale that begins at nothing shows how large a difference is. */
function fromZero(_, __, max) {
  return [0, max > 0 ? max * 1.1 : 1];
}

function sample(curve) {
  const line = svg("line", {
    x1: 0,
    y1: 4,
    x2: 18,
    y2: 4,
    "stroke-width": 2.5,
    "stroke-dasharray": (curve.dash ?? []).join(" "),
  });
  line.style.stroke = `var(${curve.colour})`;
  return svg("svg", { "aria-hidden": "true", viewBox: "0 0 18 8" }, line);
}

/** The curves in words, for those who do not see them. */
function summary(curves, columns, say) {
  const parts = curves.map((curve, i) => {
    const values = columns[i + 1].filter((value) => value !== null && value !== undefined);
    if (!values.length) return `${curve.label}: nothing yet`;
    return `${curve.label}: from ${say.y(values[0])} to ${say.y(values.at(-1))}`;
  });
  return parts.join("; ");
}
