/** What was measured of a version, beside its rivals. */

import { h } from "./dom.js";
import { figure, percent, plain } from "./format.js";
import { dataTable } from "./tables.js";

/** In the order of the columns; the first that is there decides. */
export const METRICS = [
  {
    name: "frechet_distance",
    label: "Fréchet distance",
    hint: "to real images; lower is better",
    lower: true,
    say: figure,
  },
  {
    name: "endpoint_rmse",
    label: "Endpoint error",
    hint: "from the converged solution; lower is better",
    lower: true,
    say: figure,
  },
  {
    name: "psnr",
    label: "PSNR",
    hint: "of the endpoint, dB; higher is better",
    lower: false,
    say: figure,
  },
  {
    name: "class_accuracy",
    label: "Class accuracy",
    hint: "read as the class asked for",
    lower: false,
    say: (value) => percent(value, 1),
  },
  {
    name: "precision",
    label: "Precision",
    hint: "samples that look real",
    lower: false,
    say: (value) => percent(value, 1),
  },
  {
    name: "recall",
    label: "Recall",
    hint: "variety that is kept",
    lower: false,
    say: (value) => percent(value, 1),
  },
];

/** What a version is judged by: the Fréchet distance where there is one. */
export function deciding(metrics) {
  return METRICS.find(({ name }) => metrics[name] !== undefined) ?? null;
}

/** The newest evidence on a model, or the newest of all. */
export function latest(evidence, model = null) {
  const fitting = evidence.filter((each) => model === null || each.model === model);
  return fitting.at(-1) ?? null;
}

/** @returns {{ name: string, metrics: Record<string, number> }[]} */
export function rivals(evidence) {
  return evidence.details.rivals ?? [];
}

/** Of the classical rivals, which have no versions, the best; null where none was measured. */
export function bestClassical(evidence) {
  const metric = deciding(evidence.metrics);
  const classical = rivals(evidence).filter((rival) => !rival.name.includes("/"));
  if (metric === null || !classical.length) return null;
  return classical.reduce((best, each) =>
    isBetter(metric, each.metrics[metric.name], best.metrics[metric.name]) ? each : best,
  );
}

export function isBetter({ lower }, one, other) {
  return lower ? one < other : one > other;
}

/** A table: this version first, then its rivals; the best of each column is bold. */
export function evidenceTable(name, evidence) {
  const measured = [{ name, metrics: evidence.metrics, isOurs: true }, ...rivals(evidence)];
  const metrics = METRICS.filter((metric) => measured.some((each) => has(each, metric)));
  const columns = metrics.map(({ label, hint }) => ({ text: label, hint, isNumber: true }));
  const rows = measured.map((each) => [
    each.name,
    ...metrics.map((metric) => cell(each, metric, measured, evidence)),
  ]);
  return dataTable("Measurements", [{ text: "Solver" }, ...columns], rows, (i) =>
    i ? "" : "ours",
  );
}

function cell(each, metric, measured, evidence) {
  if (!has(each, metric)) return "–";
  const value = each.metrics[metric.name];
  const others = measured.filter((other) => has(other, metric));
  const isBest = others.every((other) => !isBetter(metric, other.metrics[metric.name], value));
  return [
    h(isBest ? "span.best" : "span", metric.say(value)),
    each.isOurs ? interval(evidence.details.intervals_95?.[metric.name], metric) : null,
  ];
}

function interval(bounds, metric) {
  if (!bounds) return null;
  const half = metric.say((bounds[1] - bounds[0]) / 2);
  return h("small.faint", { title: "95 % interval over seeds" }, ` ± ${half}`);
}

function has({ metrics }, { name }) {
  return metrics[name] !== undefined;
}

/** How it was measured, in a line. */
export function measuredOn(evidence) {
  const { details } = evidence;
  const parts = [
    `${evidence.model}, guidance ${plain(evidence.guidance_scale)}, ${evidence.steps} steps`,
  ];
  if (details.num_samples)
    parts.push(`${details.num_samples} samples from the same noises for all`);
  if (details.converged)
    parts.push(`converged: ${details.converged.solver} at ${details.converged.steps} steps`);
  return parts.join(" · ");
}

/** Why an alias moved or did not, in sentences. */
export function decisions(evidence) {
  return (evidence.details.decisions ?? []).map(({ promote, why }) =>
    h("p", h(`span.tag${promote ? ".good" : ""}`, promote ? "promoted" : "not promoted"), " ", why),
  );
}
