/**
 * The weights of a table as a picture: row n is what step n adds, column k how much of prediction k.
 * Below zero in one hue, above in the other; the paler, the smaller.
 */

import { fill, h } from "./dom.js";
import { decimals } from "./format.js";
import { colour, onScheme } from "./theme.js";

const MARGIN = 26; // for the numbers of rows and columns
const READABLE_CELL = 38; // in a smaller cell no figure is written
const SIZE = 460;

/**
 * @param {{ weights: number[][] }} table
 * @param {string} label
 * @param {AbortSignal} signal
 * @returns {{ element: HTMLElement, show: (table: { weights: number[][] }) => void }}
 */
export function heatMap(table, label, signal) {
  let rows = table.weights.map(placed);
  const canvas = h("canvas", {
    tabindex: "0",
    role: "img",
    "aria-label": `${label}: ${rows.length} rows of weights. Arrow keys read them one by one.`,
  });
  const said = h("div.heat-said", { "aria-live": "polite" });
  let chosen = null;

  function choose(row, column) {
    const n = Math.max(0, Math.min(rows.length - 1, row));
    const k = Math.max(0, Math.min(n, column));
    chosen = [n, k];
    const weight = rows[n][k];
    fill(
      said,
      weight === undefined
        ? `Step ${n + 1} does not use prediction ${k + 1}`
        : `Step ${n + 1} takes ${decimals(weight, 4)} of prediction ${k + 1}`,
    );
    draw();
  }

  function draw() {
    paint(canvas, rows, chosen);
  }

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    const scale = SIZE / box.width;
    const cell = (SIZE - MARGIN) / rows.length;
    const place = (offset) => Math.floor((offset * scale - MARGIN) / cell);
    const [row, column] = [place(event.clientY - box.top), place(event.clientX - box.left)];
    if (row >= 0 && column >= 0 && column <= row && row < rows.length) choose(row, column);
  }

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  canvas.addEventListener("pointermove", pointed);
  canvas.addEventListener("pointerdown", pointed);
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    if (chosen === null) choose(0, 0);
    else choose(chosen[0] + move[0], chosen[1] + move[1]);
  });
  onScheme(draw, signal);
  // The colours are known once it is on the page.
  requestAnimationFrame(draw);
  return {
    element: h("div.heat", canvas, said),
    show(next) {
      rows = next.weights.map(placed);
      if (chosen) choose(...chosen);
      else draw();
    },
  };
}

/** A row's weights by prediction: they belong to the newest ones, the last to the row's own. */
function placed(weights, n) {
  const byPrediction = [];
  weights.forEach((weight, i) => {
    byPrediction[n + 1 - weights.length + i] = weight;
  });
  return byPrediction;
}

function paint(canvas, rows, chosen) {
  const density = Math.min(3, devicePixelRatio || 1);
  canvas.width = canvas.height = SIZE * density;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const cell = (SIZE - MARGIN) / rows.length;
  const largest = Math.max(...rows.flat().map(Math.abs)) || 1;
  const hues = {
    below: colour("--below"),
    above: colour("--above"),
    none: colour("--sunken"),
    ink: colour("--ink"),
    faint: colour("--faint"),
    on: colour("--on-accent"),
  };
  context.textAlign = "center";
  context.textBaseline = "middle";
  const family = getComputedStyle(document.body).fontFamily;
  rows.forEach((row, n) => {
    const top = MARGIN + n * cell;
    for (let k = 0; k <= n; k += 1) {
      paintCell(context, row[k], MARGIN + k * cell, top, cell, largest, hues, family);
    }
  });
  numbers(context, rows.length, cell, hues, family);
  if (chosen) {
    context.strokeStyle = hues.ink;
    context.lineWidth = 2;
    context.strokeRect(
      MARGIN + chosen[1] * cell + 1,
      MARGIN + chosen[0] * cell + 1,
      cell - 2,
      cell - 2,
    );
  }
}

function paintCell(context, weight, left, top, cell, largest, hues, family) {
  const gap = cell > 8 ? 1 : 0;
  const box = [left + gap / 2, top + gap / 2, cell - gap, cell - gap];
  context.fillStyle = hues.none;
  context.fillRect(...box);
  if (weight === undefined) return;
  const strength = Math.sqrt(Math.abs(weight) / largest); // small weights are to be seen, too
  context.globalAlpha = strength;
  context.fillStyle = weight < 0 ? hues.below : hues.above;
  context.fillRect(...box);
  context.globalAlpha = 1;
  if (cell < READABLE_CELL) return;
  context.fillStyle = strength > 0.62 ? hues.on : hues.ink;
  context.font = `${Math.min(14, cell / 3.6)}px ${family}`;
  context.fillText(decimals(weight, cell > 50 ? 3 : 2), left + cell / 2, top + cell / 2);
}

function numbers(context, count, cell, hues, family) {
  context.fillStyle = hues.faint;
  context.font = `12px ${family}`;
  const every = Math.ceil(20 / cell);
  for (let n = 0; n < count; n += every) {
    const middle = MARGIN + (n + 0.5) * cell;
    context.fillText(String(n + 1), middle, MARGIN / 2);
    context.fillText(String(n + 1), MARGIN / 2, middle);
  }
}
