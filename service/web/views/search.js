/** One search as it goes: its loss, what it draws now, and what it has found. */

import { get, send } from "../api.js";
import { chart } from "../chart.js";
import { fill, h, refill } from "../dom.js";
import { count, duration, moment, plain } from "../format.js";
import { heatMap } from "../heat_map.js";
import { getModels } from "../models.js";
import { notice } from "../notice.js";
import { link } from "../router.js";
import { follow } from "../searching/follow.js";
import { resultCard } from "../searching/results.js";
import { samples } from "../searching/samples.js";
import { stageOf, stateTag, stepsOf, TERMINAL } from "../searching/words.js";

const SAMPLE_EVERY_MS = 4000;
const STOPPING = "It ends its descent, then measures the best it has found.";

/** @type {import("../app.js").View} */
export async function search({ path: [, id] }, signal) {
  const [job, models] = await Promise.all([
    get(`search-jobs/${encodeURIComponent(id)}`, signal),
    getModels(signal),
  ]);
  const parts = partsOf();
  const curve = lossCurve(signal);
  const model = models.find((each) => each.name === job.spec.model);
  const present = model && !TERMINAL.has(job.state) ? candidate(job, model, signal) : null;
  show(job, parts, signal);
  run(job, parts, curve, signal);
  return h(
    "div.view",
    head(job, parts),
    parts.progress,
    parts.failure,
    parts.problem,
    parts.results,
    h("div.running", h("section", h("h2", "Loss"), curve.element), present, asked(job)),
  );
}

/** What changes while a search goes on. */
function partsOf() {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the search" });
  const stage = h("span", { role: "status" });
  const left = h("span");
  return {
    state: h("span"),
    buttons: h("div.buttons"),
    bar,
    stage,
    left,
    progress: h("div.progress", bar, h("p.faint", stage, left)),
    failure: h("div"),
    results: h("div.view"),
    problem: h("div"),
  };
}

function head(job, parts) {
  const { spec } = job;
  return h(
    "div.view-head",
    h("p.crumb", h("a", { href: link(["searches"]) }, "Searches")),
    h("div.title-row", h("h1", `${spec.model}, ${stepsOf(spec)}`), parts.state),
    parts.buttons,
  );
}

/** Everything that follows from how the job stands; what stays the same keeps the focus. */
function show(job, parts, signal) {
  const { progress, state } = job;
  const isOver = TERMINAL.has(state);
  refill(parts.state, state, () => stateTag(state));
  refill(parts.buttons, isOver, () =>
    isOver ? h("a.button", { href: again(job) }, "Search again") : endings(job, parts, signal),
  );
  refill(parts.failure, job.error, () =>
    job.error ? h("div.note.bad", h("strong", "It failed. "), job.error) : null,
  );
  parts.bar.value = progress.fraction;
  parts.progress.hidden = isOver;
  refill(parts.stage, stageOf(job), () => stageOf(job));
  fill(parts.left, progress.eta_s ? ` · about ${duration(progress.eta_s)} left` : "");
  refill(parts.results, job.results, () => job.results.map(resultCard));
}

function again({ spec }) {
  return link(["searches"], {
    model: spec.model,
    steps: spec.steps.join(","),
    guidance: spec.guidance_scale,
  });
}

function endings(job, parts, signal) {
  const end = (how) => async () => {
    fill(parts.problem);
    try {
      Object.assign(job, await send("POST", `search-jobs/${job.id}/${how}`, undefined, { signal }));
      if (TERMINAL.has(job.state)) show(job, parts, signal);
    } catch (error) {
      if (!signal.aborted) fill(parts.problem, notice(error));
    }
  };
  return [
    h(
      "button.button",
      {
        type: "button",
        title: "End now; what it has found is measured and kept",
        onclick: end("stop"),
      },
      "Stop, keep the best",
    ),
    h(
      "button.button.danger",
      {
        type: "button",
        title: "End now and throw away what is not published",
        onclick: end("cancel"),
      },
      "Cancel",
    ),
  ];
}

/** Take in all that happened and happens; a long history comes at once and is shown once. */
async function run(job, parts, curve, signal) {
  const wasOver = TERMINAL.has(job.state); // then the history is for the curve alone
  let planned = 0;
  try {
    for await (const { name, data } of follow(job.id, signal)) {
      if (name === "progress") curve.add(data);
      if (wasOver) continue;
      await take(job, parts, name, data, signal);
      cancelAnimationFrame(planned);
      planned = requestAnimationFrame(() => show(job, parts, signal));
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!error.title) console.error(error);
    fill(parts.problem, notice(error));
  }
}

/** What an event changes. */
async function take(job, parts, name, data, signal) {
  switch (name) {
    case "queued":
      job.state = "queued";
      break;
    case "started":
      job.state = "running";
      break;
    case "progress":
      job.progress = data;
      break;
    case "result":
      job.results = [...job.results.filter(({ steps }) => steps !== data.steps), data];
      break;
    case "stopping":
      fill(parts.problem, h("div.note", STOPPING));
      break;
    case "finished":
      Object.assign(job, await get(`search-jobs/${job.id}`, signal));
      fill(parts.problem);
  }
}

/** Two curves over the evaluations that were spent; the steps of a job follow one another. */
function lossCurve(signal) {
  const drawn = chart(
    {
      label: "Loss over network evaluations",
      curves: [
        { label: "Loss", colour: "--series-1" },
        { label: "Best so far", colour: "--series-2", dash: [5, 4] },
      ],
      height: 260,
      isClose: true,
      x: (value) => (value >= 1000 ? `${plain(value / 1000)} k` : count(value)),
    },
    signal,
  );
  const columns = [[], [], []];
  const note = h(
    "p.faint",
    "The curve begins with the descent. Before it, the search solves with many steps and chooses where to start.",
  );
  let steps = null;
  let waiting = 0;
  return {
    element: h("div", note, drawn.element),
    add(progress) {
      if (progress.loss === null || progress.stage !== "search") return;
      if (steps !== progress.steps) columns.forEach((column) => column.splice(0));
      steps = progress.steps;
      columns[0].push(progress.evaluations);
      columns[1].push(progress.loss);
      columns[2].push(progress.best_loss);
      note.hidden = true;
      // A long history comes at once: it is drawn once.
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => drawn.draw(columns));
    },
  };
}

/** The table as it stands: what it draws, and its weights. */
function candidate(job, model, signal) {
  const drawn = samples(job, model, signal);
  const weights = h("div", h("p.faint", "Shown once the descent has begun."));
  lookOn(job, drawn, weights, signal);
  return [
    h("section", h("h2", "What it draws now"), drawn.element),
    h("section", h("h2", "Its weights now"), weights),
  ];
}

async function lookOn(job, drawn, weights, signal) {
  let map = null;
  let isFinal = false; // while it is measured, it does not change any more
  while (!signal.aborted && !TERMINAL.has(job.state)) {
    try {
      const { stage } = job.progress;
      const isMeasured = stage === "evaluation";
      isFinal &&= isMeasured;
      if ((stage === "search" || isMeasured) && !isFinal && !document.hidden) {
        const { table } = await get(`search-jobs/${job.id}/candidate`, signal);
        if (map === null) {
          map = heatMap(table, "Weights of the search as it stands", signal);
          fill(weights, map.element);
        } else map.show(table);
        await drawn.refresh(job.progress.steps);
        isFinal = isMeasured;
      }
    } catch {
      // No table at the moment, or no server: the next look comes.
    }
    await new Promise((done) => setTimeout(done, SAMPLE_EVERY_MS));
  }
}

function asked({ spec, id, created_at: created }) {
  return h(
    "section",
    h("h2", "What was asked for"),
    h(
      "dl.facts",
      h("dt", "Model"),
      h("dd", spec.model),
      h("dt", "Guidance"),
      h("dd", plain(spec.guidance_scale)),
      h("dt", "Aim"),
      h("dd", spec.objective),
      h("dt", "Method"),
      h("dd", spec.method),
      h("dt", "Budget"),
      h("dd", `${count(spec.budget)} evaluations for each step count`),
      h("dt", "Promote"),
      h("dd", spec.promote === "never" ? "never" : "if better"),
      h("dt", "Job"),
      h("dd.mono", id),
      h("dt", "Asked"),
      h("dd", moment(created)),
    ),
  );
}
