/** The models that the server has, and which solvers run on them. */

import { get } from "./api.js";

/**
 * As close to the model's own ODE as makes no difference, on every schedule: the first choice of
 * search_jobs/evaluate/reference.py, which solvers are measured against.
 */
export const CONVERGED = { solver: "unipc-3-lambda", steps: 48 };

/** @returns {Promise<any[]>} */
export async function getModels(signal) {
  return (await get("models", signal)).models;
}

export function defaultModel(models) {
  return models.find((model) => model.is_default) ?? models[0];
}

/**
 * What `auto` takes at this step count; undefined where unknown. The server says it for the model's
 * usual guidance alone: at another one, another champion may be nearest.
 */
export function automatic(model, steps, guidance) {
  if (guidance !== model.default_guidance_scale) return undefined;
  return model.best_solvers.find((best) => best.steps === steps)?.solver;
}

/** What can be asked for at a step count, as groups for a select. */
export function solverOptions(solvers, model, steps) {
  const stored = solvers.filter((entry) => entry.kind === "stored");
  const fits = stored.filter((entry) => steps === null || entry.steps === steps);
  const own = fits.filter((entry) => entry.target !== null);
  const published =
    steps === null
      ? families(stored)
      : fits.filter((entry) => entry.target === null).map((entry) => entry.name);
  const classical = solvers
    .filter((entry) => entry.kind === "classical")
    .map((entry) => entry.name);
  const groups = [
    [
      "Made for this model",
      own.filter((entry) => Object.keys(entry.aliases).length).map((entry) => entry.name),
    ],
    ["Published", published],
    ["Classical", classical],
  ];
  return groups
    .filter(([, names]) => names.length)
    .map(([label, names]) => ({ label, options: names.map((name) => [name, name]) }));
}

/** Names that end in their step count share the rest: such a family takes any of its counts. */
function families(stored) {
  const names = stored
    .filter((entry) => entry.target === null && entry.name.endsWith(`-${entry.steps}`))
    .map((entry) => entry.name.slice(0, -`-${entry.steps}`.length));
  return [...new Set(names)];
}
