/** How a search stands, in words. */

import { h } from "../dom.js";

export const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

const KINDS = { queued: "", running: "live", succeeded: "good", failed: "bad", cancelled: "" };
const STAGES = {
  waiting: "waiting for a worker",
  teacher: "solving with many steps, to have something to aim at",
  search: "descending",
  evaluation: "measuring what was found",
  done: "done",
};

export function stateTag(state) {
  const kind = KINDS[state];
  return h(kind ? `span.tag.${kind}` : "span.tag", state);
}

/** What it is doing now. */
export function stageOf({ state, progress }) {
  if (state === "queued") return "waiting for a worker";
  if (TERMINAL.has(state)) return state;
  const steps = progress.steps ? `${progress.steps} steps: ` : "";
  return `${steps}${STAGES[progress.stage] ?? progress.stage}`;
}

export function stepsOf({ steps }) {
  return `${steps.join(", ")} ${steps.length === 1 && steps[0] === 1 ? "step" : "steps"}`;
}
