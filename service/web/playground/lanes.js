/** Which solvers, and at how many steps: up to four. */

import { fill, h } from "../dom.js";
import { solverSelect } from "./controls.js";
import { fitting, MAX_LANES, MAX_STEPS } from "./state.js";

/**
 * @param {import("./state.js").State} state  changed in place
 * @param {any[]} solvers
 * @param {() => void} changed
 */
export function lanes(state, solvers, changed) {
  const rows = h("div.lanes");
  const add = h("button.button.quiet", { type: "button", onclick: addLane }, "Add a solver");

  function addLane() {
    state.lanes.push({ ...state.lanes.at(-1) });
    show();
    changed();
  }

  function show() {
    fill(
      rows,
      state.lanes.map((lane, i) => row(lane, i)),
    );
    add.hidden = state.lanes.length >= MAX_LANES;
  }

  function row(lane, i) {
    const place = h("div.lane", { role: "group", "aria-label": `Solver ${i + 1}` });
    const steps = h("input", {
      type: "number",
      min: 1,
      max: MAX_STEPS,
      value: lane.steps,
      "aria-label": `Steps of solver ${i + 1}`,
    });
    steps.addEventListener("change", () => {
      if (!steps.checkValidity() || steps.value === "") return steps.reportValidity();
      lane.steps = Number(steps.value);
      lane.solver = fitting(lane.solver, lane.steps, solvers);
      show();
      return changed();
    });
    const solver = solverSelect(
      state,
      solvers,
      lane,
      (name) => {
        lane.solver = name;
        changed();
      },
      `Solver ${i + 1}`,
    );
    const remove = h(
      "button.button",
      {
        type: "button",
        "aria-label": `Remove solver ${i + 1}`,
        disabled: state.lanes.length < 2,
        onclick: () => {
          state.lanes.splice(i, 1);
          show();
          changed();
        },
      },
      "×",
    );
    return fill(place, solver, steps, remove);
  }

  show();
  return {
    element: h("div.field", h("span.label", "Solvers and their steps"), rows, h("div", add)),
    show,
  };
}
