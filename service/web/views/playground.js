/** Draw a picture, or compare how solvers draw it. */

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { getModels } from "../models.js";
import { noModels } from "../notice.js";
import { notLoaded } from "../residents.js";
import { comparing } from "../playground/comparing.js";
import { controls } from "../playground/controls.js";
import { drawing } from "../playground/drawing.js";
import { queryOf, stateOf } from "../playground/state.js";
import { go, note } from "../router.js";
import { tabs } from "../tabs.js";

const SETTLE_MS = 120; // several changes at once make one picture

/** @type {import("../app.js").View} */
export async function playground({ query }, signal) {
  const all = await getModels(signal);
  const named = all.find((model) => model.name === query.get("model"));
  if (named && !named.resident) return notLoaded("Playground", named, signal);
  const models = all.filter((model) => model.resident);
  if (!models.length) return noModels("Playground");
  const state = stateOf(query, models);
  const { solvers } = await get(`solvers?model=${encodeURIComponent(state.model.name)}`, signal);
  const draw = drawing(state, signal);
  const compare = comparing(state, solvers, changed, signal);
  const panel = controls(
    state,
    models,
    solvers,
    {
      changed,
      guided() {
        compare.show(); // its lanes name what `auto` takes, which goes with the guidance
        changed();
      },
      draw: () => shown().run(),
      otherModel: (model) => go(["playground"], { model }),
    },
    signal,
  );
  const stage = h("div");
  const choice = tabs(
    "How to draw",
    [
      ["draw", "Draw"],
      ["compare", "Compare"],
    ],
    (name) => {
      shown().stop();
      state.isComparing = name === "compare";
      show();
      changed();
    },
    stage,
  );
  let settling = 0;

  function shown() {
    return state.isComparing ? compare : draw;
  }

  function show() {
    panel.show();
    if (state.isComparing) compare.show();
    fill(stage, shown().element);
  }

  function changed() {
    note(["playground"], queryOf(state));
    clearTimeout(settling);
    settling = setTimeout(() => signal.aborted || shown().run(), SETTLE_MS);
  }

  choice.select(state.isComparing ? "compare" : "draw");
  show();
  changed();
  return h(
    "div.view",
    h("div.view-head", h("h1", "Playground"), h("p", state.model.title)),
    h("div.playground", panel.element, h("div.stage", choice.element, stage)),
  );
}
