/** What is to be drawn. */

import { field, fill, h, newId, select } from "../dom.js";
import { automatic, solverOptions } from "../models.js";
import { classPicker } from "./class_picker.js";
import { fitting, MAX_STEPS } from "./state.js";

const SLIDER_STEPS = 20;
const SLIDER_GUIDANCE = 4;
const NUM_DICE = 1_000_000;

/**
 * @param {import("./state.js").State} state  changed in place
 * @param {any[]} models
 * @param {any[]} solvers
 * @param {{ changed: () => void, guided: () => void, otherModel: (name: string) => void,
 *           draw: () => void }} act
 * @param {AbortSignal} signal
 */
export function controls(state, models, solvers, act, signal) {
  const set = (name) => (value) => {
    state[name] = value;
    act.changed();
  };
  const model = select(
    models.map((each) => [each.name, `${each.name} – ${each.title}`]),
    state.model.name,
    {
      onchange: (event) => act.otherModel(event.target.value),
    },
  );
  const solver = h("div");
  const steps = slider(
    "Steps",
    { min: 1, max: SLIDER_STEPS, most: MAX_STEPS, step: 1, value: state.steps },
    (value) => {
      state.steps = value;
      state.solver = fitting(state.solver, value, solvers);
      showSolver();
      act.changed();
    },
  );
  const guidance = slider(
    "Guidance",
    { min: 1, max: SLIDER_GUIDANCE, least: 0, most: 50, step: 0.05, value: state.guidance },
    (value) => {
      state.guidance = value;
      showSolver();
      act.guided();
    },
  );
  const single = h("div.single", steps, solver);

  function showSolver() {
    fill(solver, field("Solver", solverSelect(state, solvers, state, set("solver"))));
  }

  showSolver();
  const form = h(
    "form.controls",
    { "aria-label": "What to draw" },
    h(
      "div.panel.what",
      models.length > 1 ? field("Model", model) : null,
      classPicker(state.model, state.classId, set("classId"), signal),
    ),
    h(
      "div.panel.how",
      single,
      guidance,
      seedField(state, act.changed),
      h("div.buttons", h("button.button.primary", { type: "submit" }, "Draw")),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act.draw();
  });
  return {
    element: form,
    /** Lanes have solvers and steps of their own. */
    show() {
      single.hidden = state.isComparing;
    },
  };
}

/** Which solver, of those that take this step count. */
export function solverSelect(state, solvers, { solver, steps }, onChoose, label = null) {
  const { model, guidance } = state;
  const best = automatic(model, steps, guidance);
  const groups = solverOptions(solvers, model, steps);
  const known = groups.some(({ options }) => options.some(([name]) => name === solver));
  const options = [
    ["auto", best ? `Best known: ${best.name}` : "Best known"],
    ...(known || solver === "auto" ? [] : [[solver, solver]]),
    ...groups,
  ];
  return select(options, solver, {
    "aria-label": label,
    onchange: (event) => onChoose(event.target.value),
  });
}

/** A slider for the usual values, and a number beside it for all. */
function slider(label, { min, max, least = min, most, step, value }, onChange) {
  const id = newId("field");
  const range = h("input", {
    type: "range",
    min,
    max,
    step,
    value,
    "aria-label": `${label}, slider`,
    id: `${id}-slider`,
  });
  const number = h("input", {
    id,
    type: "number",
    min: least,
    max: most,
    step: step === 1 ? 1 : "any",
    value,
    inputmode: "decimal",
  });
  range.addEventListener("input", () => {
    number.value = range.value;
  });
  range.addEventListener("change", () => onChange(Number(range.value)));
  number.addEventListener("change", () => {
    if (!number.checkValidity() || number.value === "") {
      number.reportValidity();
      return;
    }
    range.value = number.value;
    onChange(Number(number.value));
  });
  return h("div.field", h("label", { for: id }, label), h("div.with-number", range, number));
}

function seedField(state, changed) {
  const number = h("input", {
    type: "number",
    min: 0,
    max: 2 ** 53 - 1,
    step: 1,
    value: state.seed,
    inputmode: "numeric",
    id: newId("field"),
  });
  const take = (seed) => {
    state.seed = seed;
    number.value = seed;
    changed();
  };
  number.addEventListener("change", () => {
    if (number.checkValidity() && number.value !== "") take(Number(number.value));
    else number.reportValidity();
  });
  const another = h(
    "button.button",
    { type: "button", onclick: () => take(Math.floor(Math.random() * NUM_DICE)) },
    "Another",
  );
  return h(
    "div.field",
    h("label", { for: number.id }, "Seed"),
    h("div.with-button", number, another),
  );
}
