/** What the playground shows, as its address has it. */

import { defaultModel } from "../models.js";

export const MAX_LANES = 4;
export const MAX_STEPS = 256;
const MAX_GUIDANCE = 50;
const NUM_SEEDS = 2 ** 53;

/** Four steps, plain and searched: what this is about. */
const FIRST_LANES = [
  { solver: "euler", steps: 4 },
  { solver: "ab2", steps: 4 },
  { solver: "auto", steps: 4 },
];

/**
 * @typedef {{ solver: string, steps: number }} Lane
 * @typedef {{ model: any, classId: number, steps: number, guidance: number, seed: number,
 *             solver: string, isComparing: boolean, lanes: Lane[] }} State
 */

/** @returns {State} whatever the address says that makes sense, and the usual for the rest */
export function stateOf(query, models) {
  const model = models.find((each) => each.name === query.get("model")) ?? defaultModel(models);
  const number = (name, usual, from, to) => bounded(query.get(name), usual, from, to);
  const lanes = (query.get("compare") ?? "")
    .split(",")
    .map(laneOf)
    .filter((lane) => lane !== null);
  const middle = Math.min(10, model.classes.length - 1); // the first letter of the model that ships
  return {
    model,
    classId: Math.round(number("class", middle, 0, model.classes.length - 1)),
    steps: Math.round(number("steps", 4, 1, MAX_STEPS)),
    guidance: number("guidance", model.default_guidance_scale, 0, MAX_GUIDANCE),
    seed: Math.round(number("seed", 3, 0, NUM_SEEDS - 1)),
    solver: query.get("solver") ?? "auto",
    isComparing: query.has("compare"),
    lanes: lanes.length ? lanes.slice(0, MAX_LANES) : FIRST_LANES.map((lane) => ({ ...lane })),
  };
}

/** @param {State} state */
export function queryOf(state) {
  return {
    model: state.model.is_default ? null : state.model.name,
    class: state.classId,
    steps: state.steps,
    guidance: state.guidance,
    seed: state.seed,
    solver: state.solver === "auto" ? null : state.solver,
    compare: state.isComparing
      ? state.lanes.map(({ solver, steps }) => `${solver}:${steps}`).join(",")
      : null,
  };
}

/** The body of a request for one picture. */
export function orderOf(state, { solver, steps }) {
  return {
    model: state.model.name,
    class_id: state.classId,
    steps,
    solver,
    guidance_scale: state.guidance,
    seed: state.seed,
  };
}

/** A solver of the store takes its own step count alone: at another one, `auto` stands in. */
export function fitting(solver, steps, solvers) {
  const entry = solvers.find((each) => each.name === solver);
  return entry?.kind === "stored" && entry.steps !== steps ? "auto" : solver;
}

function laneOf(text) {
  const colon = text.lastIndexOf(":");
  if (colon < 1) return null;
  return {
    solver: text.slice(0, colon),
    steps: Math.round(bounded(text.slice(colon + 1), 4, 1, MAX_STEPS)),
  };
}

function bounded(text, usual, from, to) {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(to, Math.max(from, value)) : usual;
}
