/** How the server does, from /metrics: for those without Prometheus and Grafana. */

import { ask, get } from "../api.js";
import { chart } from "../chart.js";
import { fill, h, refill } from "../dom.js";
import { buckets, matching, parse, quantile, since, total } from "../exposition.js";
import { bytes, count, duration, figure, milliseconds } from "../format.js";
import { residents } from "../residents.js";
import { link } from "../router.js";
import { dataTable } from "../tables.js";

const LOOK_EVERY_MS = 2000;
const WINDOW = 15; // readings that a rate or a quantile covers: 30 s
const KEPT = 150; // readings on the curves: 5 min
const SHOWN_S = 60; // at least, so that the curves begin at the right
const REQUESTS = "fewstep_request_duration_seconds";
const IMAGES = "fewstep_images_total";
const STARTED_AT = "process_start_time_seconds";

/** Charts of what was read lately: the present is at the right. */
const overTime = {
  height: 180,
  x: (value) => (value === 0 ? "now" : `${duration(-value)} ago`),
  xRange: (min) => [Math.min(-SHOWN_S, min ?? 0), 0],
};

/** @type {import("../app.js").View} */
export async function health(_, signal) {
  const tiles = h("dl.tiles.panel");
  const quality = h("div");
  const outcomes = h("div");
  const latency = chart(
    {
      label: "Latency of requests, over half a minute",
      curves: [
        { label: "median", colour: "--series-1" },
        { label: "99 %", colour: "--series-2", dash: [5, 4] },
      ],
      ...overTime,
      y: (value) => milliseconds(value * 1000),
    },
    signal,
  );
  const throughput = chart(
    {
      label: "Images per second, over half a minute",
      curves: [{ label: "images/s", colour: "--series-3" }],
      ...overTime,
      y: (value) => figure(value, 2),
    },
    signal,
  );
  const queue = chart(
    {
      label: "Images in the queue and under way",
      curves: [
        { label: "waiting", colour: "--series-2", dash: [5, 4] },
        { label: "under way", colour: "--series-1" },
      ],
      ...overTime,
      y: count,
      isWhole: true,
    },
    signal,
  );
  const readings = [];

  async function look() {
    const reading = await read(signal);
    if (readings.length && countsAnew(reading, readings.at(-1))) readings.length = 0;
    readings.push(reading);
    if (readings.length > KEPT + WINDOW) readings.shift();
    const points = readings.map((each, i) => figures(each, readings[Math.max(0, i - WINDOW)]));
    const now = points.at(-1);
    const columns = [
      points.map(({ at }) => Math.round(at - now.at)),
      ...["median", "tail", "rate", "waiting", "lanes"].map((name) =>
        points.map((point) => point[name]),
      ),
    ];
    latency.draw([columns[0], columns[1], columns[2]]);
    throughput.draw([columns[0], columns[3]]);
    queue.draw([columns[0], columns[4], columns[5]]);
    fill(tiles, tilesOf(reading.samples, now));
    const ended = endedRequests(reading.samples);
    refill(outcomes, ended, () => outcomesOf(ended));
    const watched = watchedQuality(reading.samples);
    refill(quality, watched, () => qualityOf(watched));
  }

  await look();
  repeat(look, signal);
  return h(
    "div.view",
    h(
      "div.view-head",
      h("h1", "Health"),
      h(
        "p",
        "Read from ",
        h("a", { href: "metrics" }, "/metrics"),
        " every two seconds; the curves begin when this view is opened.",
      ),
    ),
    tiles,
    h(
      "div.columns",
      h("section", h("h2", "Latency"), latency.element),
      h("section", h("h2", "Throughput"), throughput.element),
      h("section", h("h2", "Queue"), queue.element),
      h("section", h("h2", "Requests since the start"), outcomes),
    ),
    h("section", h("h2", "Quality of what is served"), quality),
    await residents(signal),
  );
}

async function repeat(look, signal) {
  while (!signal.aborted) {
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
    if (signal.aborted || document.hidden) continue;
    try {
      await look();
    } catch {
      // The connection says so; the next look comes.
    }
  }
}

async function read(signal) {
  const [samples, ready] = await Promise.all([
    ask("metrics", { signal })
      .then((response) => response.text())
      .then(parse),
    get("readyz", signal).then(
      () => true,
      (error) => (error.status === 503 ? false : Promise.reject(error)),
    ),
  ]);
  return { at: performance.now() / 1000, samples, ready };
}

/** Counters began again in between: the server has been restarted. */
function countsAnew({ samples: now }, { samples: before }) {
  const hasFallen = total(now, IMAGES) < total(before, IMAGES);
  return hasFallen || total(now, STARTED_AT) !== total(before, STARTED_AT);
}

/** What can be said about the time between two readings. */
function figures(now, before) {
  const counts = since(buckets(now.samples, REQUESTS), buckets(before.samples, REQUESTS));
  const seconds = now.at - before.at;
  const images =
    total(now.samples, IMAGES) - total(before.samples, IMAGES);
  return {
    at: now.at,
    ready: now.ready,
    median: quantile(counts, 0.5),
    tail: quantile(counts, 0.99),
    rate: seconds > 0 ? images / seconds : null,
    waiting: total(now.samples, "fewstep_engine_waiting_images"),
    lanes: total(now.samples, "fewstep_engine_lanes"),
  };
}

function tilesOf(samples, now) {
  const whole = buckets(samples, REQUESTS);
  const running = total(samples, "fewstep_search_jobs", { state: "running" });
  const started = total(samples, STARTED_AT);
  return [
    tile("Server", now.ready ? "ready" : "not ready"),
    tile(
      "Median latency",
      milliseconds(1000 * (now.median ?? quantile(whole, 0.5) ?? NaN)),
      now.median === null ? "since the start" : "last 30 s",
    ),
    tile(
      "99 % within",
      milliseconds(1000 * (now.tail ?? quantile(whole, 0.99) ?? NaN)),
      now.tail === null ? "since the start" : "last 30 s",
    ),
    tile("Throughput", figure(now.rate ?? 0, 2), "images/s"),
    tile("Waiting", count(now.waiting), "images"),
    tile("Images made", count(total(samples, IMAGES))),
    tile("Evaluations", count(total(samples, "fewstep_network_evaluations_total"))),
    tile("Per network row", milliseconds(1000 * total(samples, "fewstep_engine_seconds_per_row"))),
    tile("Searches running", count(running)),
    tile("Memory", bytes(total(samples, "process_resident_memory_bytes"))),
    tile("Up for", duration(Date.now() / 1000 - started)),
  ];
}

function tile(label, value, unit = null) {
  return h("div.tile", h("dt", label), h("dd", value, unit && h("small", ` ${unit}`)));
}

/** Outcomes that there were: the server counts each of them from zero on. */
function endedRequests(samples) {
  return matching(samples, "fewstep_requests_total").filter(({ value }) => value > 0);
}

function outcomesOf(ended) {
  if (!ended.length) {
    return h(
      "p.empty",
      "No request for images yet.",
      h("a.button", { href: link(["playground"]) }, "Draw something"),
    );
  }
  const columns = [{ text: "Model" }, { text: "Ended" }, { text: "Requests", isNumber: true }];
  const rows = ended.map(({ labels, value }) => [labels.model, labels.outcome, count(value)]);
  return dataTable("Requests since the start", columns, rows);
}

/** The streaming Fréchet distance: of which models it is kept, and all of its series so far. */
function watchedQuality(samples) {
  const one = (name, labels) => matching(samples, name, labels)[0]?.value ?? null;
  return {
    isKept: matching(samples, "fewstep_fid_proxy_minimum").length > 0,
    series: matching(samples, "fewstep_fid_proxy_samples").map(({ labels, value }) => ({
      labels,
      pictures: value,
      minimum: one("fewstep_fid_proxy_minimum", { model: labels.model }),
      distance: one("fewstep_fid_proxy", labels),
      margin: one("fewstep_fid_proxy_margin", labels),
    })),
  };
}

function qualityOf({ isKept, series }) {
  if (!series.length) {
    return h(
      "p.empty",
      isKept
        ? "No picture has been judged yet."
        : "No loaded model comes with a judge, so the quality of what is served is not followed.",
      " Evidence that was measured is with each version.",
      h("a.button", { href: link(["solvers"]) }, "See the solvers"),
    );
  }
  const columns = [
    ...["Model", "Solver", "Steps", "Source"].map((text) => ({ text })),
    { text: "Fréchet distance", isNumber: true, hint: "with half its 95 % interval" },
    { text: "Pictures", isNumber: true },
  ];
  const rows = series.map((each) => [
    ...["model", "solver", "steps", "source"].map((name) => each.labels[name]),
    distanceOf(each),
    count(each.pictures),
  ]);
  return dataTable("Quality of what is served", columns, rows);
}

/** With its margin; before there is one, how far it is to there. */
function distanceOf({ distance, margin, pictures, minimum }) {
  if (distance === null) return `${count(pictures)} of at least ${count(minimum)} pictures`;
  return `${figure(distance)} ± ${figure(margin, 2)}`;
}
