/** One picture, step by step as it is made. */

import { Problem, stream } from "../api.js";
import { fill, h } from "../dom.js";
import { inForeground } from "../foreground.js";
import { figure, milliseconds, plain, solverName } from "../format.js";
import { notice } from "../notice.js";
import { dataUrl, save } from "../pictures.js";
import { link } from "../router.js";
import { asCurl, asPython, copy } from "../snippets.js";
import { orderOf, queryOf } from "./state.js";

/**
 * @param {import("./state.js").State} state
 * @param {AbortSignal} signal
 */
export function drawing(state, signal) {
  const picture = h("img.pixels", { alt: "" });
  const film = h("ul.film", { "aria-label": "The picture after each step" });
  const progress = h("p.faint", { role: "status" });
  const facts = h("div");
  const figureElement = h("figure", picture, film);
  const element = h("div.easel", figureElement, h("aside", progress, facts));
  let running = null;

  async function run() {
    running?.abort();
    const mine = (running = new AbortController());
    const until = AbortSignal.any([signal, mine.signal]);
    element.setAttribute("aria-busy", "true");
    try {
      await inForeground(() => draw(orderOf(state, state), until));
    } catch (error) {
      if (until.aborted) return;
      if (!error.title) console.error(error);
      fill(progress);
      fill(facts, notice(error, run));
    } finally {
      if (running === mine) element.removeAttribute("aria-busy"); // or else the next one is drawn
    }
  }

  async function draw(order, until) {
    fill(progress, "Waiting for its turn …");
    const frames = startFilm(film, picture, order.steps);
    let queued = null;
    for await (const { name, data } of stream("generate", {
      method: "POST",
      body: { ...order, preview: true },
      signal: until,
    })) {
      if (name === "queued") queued = data;
      if (name === "step") {
        fill(progress, `Step ${data.step} of ${data.steps}`);
        frames.add(data.step, dataUrl(data.preview));
      }
      if (name === "error") throw new Problem(data.problem);
      if (name === "image") {
        frames.add(order.steps, dataUrl(data.base64));
        picture.alt = `${queued.class_name}, drawn in ${order.steps} steps by ${queued.solver.name}`;
        queued.image = data.base64;
      }
      if (name === "done") {
        fill(progress, `Drawn in ${milliseconds(data.timing_ms.sampling)}`);
        fill(facts, told(state, order, queued, data.timing_ms));
      }
    }
  }

  return { element, run, stop: () => running?.abort() };
}

/** Places for the picture after each step; the newest is shown, or the one that is pressed. */
function startFilm(film, picture, steps) {
  const frames = Array.from({ length: steps }, (_, i) =>
    h("button", {
      type: "button",
      disabled: true,
      "aria-label": `After step ${i + 1}`,
      "aria-pressed": "false",
    }),
  );
  fill(
    film,
    frames.map((frame) => h("li", frame)),
  );
  film.hidden = steps < 2;

  function press(frame, source) {
    picture.src = source;
    for (const each of frames) each.setAttribute("aria-pressed", String(each === frame));
  }

  return {
    add(step, source) {
      const frame = frames[step - 1];
      frame.disabled = false;
      frame.onclick = () => press(frame, source);
      fill(frame, h("img.pixels", { src: source, alt: "" }));
      press(frame, source);
    },
  };
}

function told(state, order, queued, timing) {
  const { solver } = queued;
  const name = solverName(solver);
  const shown =
    solver.version === null
      ? name
      : h("a", { href: link(["solvers", solver.name, solver.version]) }, name);
  const compared = link(
    ["playground"],
    queryOf({ ...state, isComparing: true, lanes: comparable(order) }),
  );
  return h(
    "div.view",
    h(
      "dl.facts",
      h("dt", "Solver"),
      h("dd", shown),
      h("dt", "Evaluations"),
      h("dd", order.steps),
      h("dt", "Whole request"),
      h("dd", milliseconds(timing.total)),
      h("dt", "Guidance"),
      h("dd", plain(queued.guidance_scale)),
      h("dt", "Seed"),
      h("dd", queued.seed),
    ),
    h(
      "div.buttons",
      h(
        "button.button",
        {
          type: "button",
          title: "A PNG that says how it was made",
          onclick: () => save(queued.image, fileName(queued, order)),
        },
        "Download",
      ),
      h("a.button", { href: compared }, "Compare solvers"),
    ),
    h(
      "details",
      h("summary", "Ask for it from elsewhere"),
      h("div.view", snippet("curl", asCurl(order)), snippet("Python", asPython(order))),
    ),
  );
}

/** The same number of steps by the plainest solver, a classical one of order 2, and this one. */
function comparable({ solver, steps }) {
  return ["euler", "ab2", solver].map((each) => ({ solver: each, steps }));
}

function fileName({ class_name: name, seed }, { steps }) {
  return `${name}-${steps}-steps-seed-${seed}.png`.replaceAll(/[^\w.-]+/g, "-");
}

function snippet(label, text) {
  const button = h(
    "button.button.quiet",
    {
      type: "button",
      "aria-label": `Copy as ${label}`,
      onclick: async () => {
        await copy(text);
        fill(button, "Copied");
        setTimeout(() => fill(button, "Copy"), 1500);
      },
    },
    "Copy",
  );
  return h(
    "section",
    h("div.title-row", h("h3", label), button),
    h("pre", { tabindex: "0" }, text),
  );
}
