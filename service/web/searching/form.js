/** What to search for. Only the model and the steps must be thought about. */

import { send } from "../api.js";
import { field, fill, h, select } from "../dom.js";
import { count } from "../format.js";
import { defaultModel } from "../models.js";
import { notice } from "../notice.js";
import { go } from "../router.js";

const BUDGETS = { 20000: "A quick look", 120000: "Usual", 480000: "Thorough" };
const MAX_STEPS = 64;

/**
 * @param {any[]} models
 * @param {URLSearchParams} query  what the address asks for already
 * @param {AbortSignal} signal
 */
export function searchForm(models, query, signal) {
  const usual = models.find((each) => each.name === query.get("model")) ?? defaultModel(models);
  const model = select(
    models.map((each) => [each.name, each.name]),
    usual.name,
    {
      onchange: () => {
        guidance.value = models.find((each) => each.name === model.value).default_guidance_scale;
      },
    },
  );
  const steps = h("input", {
    value: query.get("steps") ?? "7",
    required: true,
    pattern: "\\s*\\d+(\\s*,\\s*\\d+)*\\s*",
    inputmode: "text",
    title: "Numbers with commas between them",
  });
  const guidance = h("input", {
    type: "number",
    min: 0,
    max: 50,
    step: "any",
    required: true,
    value: query.get("guidance") ?? usual.default_guidance_scale,
  });
  const budget = select(
    Object.entries(BUDGETS).map(([value, text]) => [value, `${text}: ${count(value)}`]),
    "20000",
  );
  const objective = select(
    [
      ["", "Usual for the model"],
      ["distribution", "Images like real ones"],
      ["endpoint", "Close to the model’s own ODE"],
      ["mixture", "Both"],
    ],
    "",
  );
  const promote = h("input", { type: "checkbox", checked: true });
  const problem = h("div.wide");
  const start = h("button.button.primary", { type: "submit" }, "Start the search");
  const form = h(
    "form.search-form.panel",
    { "aria-label": "A new search" },
    models.length > 1 ? field("Model", model) : null,
    field("Steps", steps, `Several with commas; up to ${MAX_STEPS}`),
    field("Budget", budget, "Network evaluations for each step count"),
    field("Guidance", guidance),
    field("Aim", objective),
    h(
      "div.wide.buttons",
      start,
      h("label.check", promote, "Let it serve if it is better than the champion"),
    ),
    problem,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    start.disabled = true;
    fill(problem);
    try {
      const job = await send(
        "POST",
        "search-jobs",
        {
          model: model.value,
          steps: steps.value.split(",").map(Number),
          guidance_scale: Number(guidance.value),
          budget: Number(budget.value),
          promote: promote.checked ? "if_better" : "never",
          ...(objective.value && { objective: objective.value }),
        },
        { signal },
      );
      go(["searches", job.id]);
    } catch (error) {
      if (!signal.aborted) fill(problem, notice(error));
    } finally {
      start.disabled = false;
    }
  });
  return form;
}
