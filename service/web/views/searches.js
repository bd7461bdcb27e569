/** Start a search, and see how all of them stand. */

import { get } from "../api.js";
import { h, refill } from "../dom.js";
import { duration, moment, plain } from "../format.js";
import { getModels } from "../models.js";
import { noModels } from "../notice.js";
import { link } from "../router.js";
import { searchForm } from "../searching/form.js";
import { stageOf, stateTag, stepsOf, TERMINAL } from "../searching/words.js";
import { dataTable } from "../tables.js";

const LOOK_EVERY_MS = 2000;

/** @type {import("../app.js").View} */
export async function searches({ query }, signal) {
  const [models, { search_jobs: jobs }] = await Promise.all([
    getModels(signal),
    get("search-jobs", signal),
  ]);
  if (!models.length) return noModels("Searches");
  const list = h("div");
  show(list, jobs);
  lookOn(list, jobs, signal);
  return h(
    "div.view",
    h(
      "div.view-head",
      h("h1", "Searches"),
      h(
        "p",
        "A search follows gradients through the sampler to a better table of times and weights. It runs in the background while the server goes on serving; what it finds is measured, and serves at once if it is better.",
      ),
    ),
    searchForm(models, query, signal),
    h("section", h("h2", "All searches"), list),
  );
}

/** Look again while something is going on. */
function lookOn(list, jobs, signal) {
  let latest = jobs;
  async function look() {
    if (!document.hidden && latest.some((job) => !TERMINAL.has(job.state))) {
      try {
        latest = (await get("search-jobs", signal)).search_jobs;
        show(list, latest);
      } catch {
        // The connection says so, and the next look comes.
      }
    }
    if (!signal.aborted) setTimeout(look, LOOK_EVERY_MS);
  }
  setTimeout(look, LOOK_EVERY_MS);
}

const NONE = "No search yet. Say above for how many steps you want a better solver, and start one.";

function show(list, jobs) {
  const standing = jobs.map((job) => [job.id, job.state, stageOf(job), job.results.length]);
  refill(list, standing, () => (jobs.length ? table(jobs) : h("p.empty", NONE)));
  moveBars(jobs);
}

const COLUMNS = ["Search", "State", "Progress", "Found", "Asked for"].map((text) => ({ text }));

function table(jobs) {
  return dataTable("All searches", COLUMNS, jobs.map(cells));
}

function cells(job) {
  const { spec, results } = job;
  const title = h("a", { href: link(["searches", job.id]) }, `${spec.model}, ${stepsOf(spec)}`);
  const kind = h("small.faint", `guidance ${plain(spec.guidance_scale)} · ${spec.objective}`);
  return [
    [title, h("div", kind)],
    stateTag(job.state),
    TERMINAL.has(job.state) ? h("small.faint", job.error ?? `took ${took(job)}`) : progressOf(job),
    results.map(found),
    moment(job.created_at),
  ];
}

function progressOf(job) {
  const label = `Progress of ${job.id}`;
  return [
    h("progress", { id: barId(job), max: 1, value: job.progress.fraction, "aria-label": label }),
    h("small.faint", stageOf(job)),
  ];
}

function found({ solver, promoted }) {
  const name = h("a", { href: link(["solvers", solver.name, solver.version]) }, solver.name);
  return h("div", name, promoted.length ? [" ", h("span.tag.good", promoted.join(", "))] : null);
}

/** The bars move; the rest is made again only when it says something else. */
function moveBars(jobs) {
  for (const job of jobs) {
    const bar = document.getElementById(barId(job));
    if (bar) bar.value = job.progress.fraction;
  }
}

function barId({ id }) {
  return `bar-${id}`;
}

function took(job) {
  return job.started_at
    ? duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)
    : "no time";
}
