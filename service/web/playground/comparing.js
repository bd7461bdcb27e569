/** The same noise through several solvers, beside the converged solution. */

import { fill, h } from "../dom.js";
import { inForeground } from "../foreground.js";
import { figure, milliseconds, solverName } from "../format.js";
import { CONVERGED } from "../models.js";
import { notice } from "../notice.js";
import { amplified, dataUrl, difference, paint } from "../pictures.js";
import { link } from "../router.js";
import { drawnOnce } from "./drawn.js";
import { lanes } from "./lanes.js";
import { orderOf } from "./state.js";
import { strip } from "./strip.js";

const AMPLIFICATION = 3;

/**
 * @param {import("./state.js").State} state
 * @param {any[]} solvers
 * @param {() => void} changed
 * @param {AbortSignal} signal
 */
export function comparing(state, solvers, changed, signal) {
  const draw = drawnOnce();
  const editor = lanes(state, solvers, changed);
  const gallery = h("div.gallery");
  const progress = h("p.faint", { role: "status" });
  const switchElement = h("input", { type: "checkbox", onchange: () => show() });
  const steps = strip(state, solvers, draw, signal);
  const element = h(
    "div.view",
    editor.element,
    h(
      "section",
      h(
        "div.title-row",
        h("h2", "The same noise"),
        h("label.check", switchElement, `Show the difference, ${AMPLIFICATION} times as strong`),
      ),
      gallery,
      progress,
    ),
    steps.element,
  );
  let running = null;
  let drawn = [];

  async function run() {
    stop();
    const mine = (running = new AbortController());
    const until = AbortSignal.any([signal, mine.signal]);
    drawn = [];
    const reference = CONVERGED;
    const wanted = [...state.lanes, reference].map((lane) => orderOf(state, lane));
    try {
      await inForeground(() => drawAll(wanted, until));
      fill(progress, explained(reference));
      show();
    } catch (error) {
      if (until.aborted) return;
      if (!error.title) console.error(error);
      fill(progress);
      show();
      gallery.append(notice(error, run));
    }
  }

  /** One after the other, so that their times can be compared. */
  async function drawAll(wanted, until) {
    for (const [i, order] of wanted.entries()) {
      const isLane = i < state.lanes.length;
      const what = isLane ? `${i + 1} of ${state.lanes.length}` : "the converged solution";
      fill(progress, `Drawing ${what} …`);
      show(wanted.length);
      drawn.push(await draw(order, until));
    }
  }

  function stop() {
    running?.abort();
    steps.reset();
  }

  function show(expected = drawn.length) {
    const isWhole = drawn.length > state.lanes.length;
    const reference = isWhole ? drawn.at(-1) : null;
    const errors = drawn.map((each) =>
      reference && each !== reference ? difference(each.pixels, reference.pixels) : null,
    );
    const least = Math.min(...errors.filter((error) => error !== null));
    const figures = drawn.map((each, i) =>
      lane(each, reference, errors[i], errors[i] === least, switchElement.checked),
    );
    const missing = Array.from({ length: expected - drawn.length }, () =>
      h("figure", h("div.pixels")),
    );
    gallery.style.setProperty("--columns", String(state.lanes.length + 1));
    fill(gallery, figures, missing);
  }

  return { element, run, stop, show: editor.show };
}

function explained({ solver, steps }) {
  return `The difference is the root mean square over all pixels, whose values go from −1 to 1, from ${solver} at ${steps} steps: more steps change next to nothing. A searched solver may aim at real images instead, and differ on purpose.`;
}

function lane(drawn, reference, error, isBest, showsDifference) {
  const { solver, steps } = drawn;
  const isReference = drawn === reference;
  const name = solverName(solver);
  const title =
    solver.version === null
      ? name
      : h("a", { href: link(["solvers", solver.name, solver.version]) }, name);
  return h(
    `figure${isReference ? ".reference" : ""}${isBest ? ".closest" : ""}`,
    showsDifference && reference && !isReference
      ? differencePicture(drawn, reference, name)
      : h("img.pixels", { src: dataUrl(drawn.base64), alt: `${name}, ${steps} steps` }),
    h(
      "figcaption",
      h("b", isReference ? "Converged" : title),
      h(
        "dl",
        h("dt", isReference ? name : "evaluations"),
        h("dd", steps),
        h("dt", "time"),
        h("dd", milliseconds(drawn.samplingMs)),
        isReference ? null : [h("dt", "difference"), h("dd", error === null ? "…" : figure(error))],
      ),
    ),
  );
}

function differencePicture(drawn, reference, name) {
  const canvas = h("canvas.pixels", {
    role: "img",
    "aria-label": `Where ${name} differs from the converged picture`,
  });
  paint(canvas, amplified(drawn.pixels, reference.pixels, AMPLIFICATION));
  return canvas;
}
