/** Every solver of the comparison at 3 to 20 steps, and how fast the difference falls. */

import { chart } from "../chart.js";
import { fill, h } from "../dom.js";
import { inForeground } from "../foreground.js";
import { figure } from "../format.js";
import { CONVERGED } from "../models.js";
import { notice } from "../notice.js";
import { dataUrl, difference } from "../pictures.js";
import { orderOf } from "./state.js";

const STEPS = Array.from({ length: 18 }, (_, i) => i + 3);

/**
 * @param {import("./state.js").State} state
 * @param {any[]} solvers
 * @param {(order: any, signal: AbortSignal) => Promise<import("./drawn.js").Drawn>} draw
 * @param {AbortSignal} signal
 */
export function strip(state, solvers, draw, signal) {
  const button = h("button.button", {
    type: "button",
    onclick: () => (running ? running.abort() : run()),
  });
  const progress = h("span.faint", { role: "status" });
  const place = h("div.view");
  let running = null; // what is being drawn, until it is stopped
  let shown = null; // what is on the page, until something else is compared

  async function run() {
    reset();
    const mine = (running = new AbortController());
    const until = AbortSignal.any([signal, mine.signal]);
    shown = new AbortController();
    fill(button, "Stop");
    const names = [...new Set(state.lanes.map((lane) => lane.solver))];
    const table = tableOf(names);
    const curves = chart(
      {
        label: "Difference from the converged picture by steps",
        curves: names.map((name, i) => ({ label: spoken(name), colour: `--series-${i + 1}` })),
        logarithmic: true,
        points: true,
        x: (value) => String(value),
        y: (value) => figure(value, 2),
      },
      AbortSignal.any([signal, shown.signal]),
    );
    fill(place, table.element, curves.element);
    try {
      await inForeground(() => fillIn(names, table, curves, until));
      fill(progress);
    } catch (error) {
      if (!until.aborted) place.append(notice(error, run));
      fill(progress, until.aborted ? "Stopped." : "");
    } finally {
      if (running === mine) {
        running = null;
        fill(button, "Draw them all");
      }
    }
  }

  async function fillIn(names, table, curves, until) {
    const columns = [STEPS, ...names.map(() => STEPS.map(() => null))];
    fill(progress, "Drawing the converged solution …");
    const reference = await draw(orderOf(state, CONVERGED), until);
    for (const [i, steps] of STEPS.entries()) {
      for (const [row, solver] of names.entries()) {
        if (!takes(solver, steps)) continue;
        fill(progress, `Drawing ${steps} steps …`);
        const drawn = await draw(orderOf(state, { solver, steps }), until);
        const error = difference(drawn.pixels, reference.pixels);
        columns[row + 1][i] = error;
        table.put(row, i, drawn, error);
      }
      curves.draw(columns);
    }
  }

  function takes(solver, steps) {
    const entry = solvers.find((each) => each.name === solver);
    return entry?.kind !== "stored" || entry.steps === steps;
  }

  function reset() {
    running?.abort();
    shown?.abort();
    running = null;
    fill(button, "Draw them all");
    fill(progress);
    fill(place);
  }

  reset();
  return {
    element: h(
      "section",
      h("div.title-row", h("h2", "From 3 to 20 steps"), button, progress),
      place,
    ),
    reset,
  };
}

function tableOf(names) {
  const cells = names.map(() => STEPS.map(() => h("td", h("small", "–"))));
  const head = h(
    "tr",
    h("td"),
    STEPS.map((steps) => h("th", { scope: "col" }, steps)),
  );
  const rows = names.map((name, row) =>
    h("tr", h("th", { scope: "row" }, spoken(name)), cells[row]),
  );
  const table = h("table", h("thead", head), h("tbody", rows));
  return {
    element: h(
      "div.strip.scroll",
      { tabindex: "0", role: "region", "aria-label": "Pictures by solver and steps" },
      table,
    ),
    put(row, column, drawn, error) {
      const picture = h("img.pixels", {
        src: dataUrl(drawn.base64),
        alt: `${names[row]}, ${drawn.steps} steps`,
        title: drawn.solver.name,
      });
      fill(cells[row][column], picture, h("small", figure(error, 2)));
    },
  };
}

function spoken(name) {
  return name === "auto" ? "best known" : name;
}
