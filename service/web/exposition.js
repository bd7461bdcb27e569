/** What /metrics says, read as Prometheus reads it. */

/** @typedef {{ name: string, labels: Record<string, string>, value: number }} Sample */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** @returns {Sample[]} */
export function parse(text) {
  return text
    .split("\n")
    .map(sampleOf)
    .filter((sample) => sample !== null);
}

function sampleOf(line) {
  const match = line.startsWith("#") ? null : LINE.exec(line);
  if (!match) return null;
  const labels = Object.fromEntries(
    [...(match[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]),
  );
  return { name: match[1], labels, value: number(match[3]) };
}

function number(text) {
  return { "+Inf": Infinity, "-Inf": -Infinity, NaN }[text] ?? Number(text);
}

/** The sum of all samples of a name that have these labels. */
export function total(samples, name, labels = {}) {
  return matching(samples, name, labels).reduce((sum, sample) => sum + sample.value, 0);
}

export function matching(samples, name, labels = {}) {
  return samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
}

/** A histogram's cumulative counts by upper bound, over all its labels: [[0.1, 3], … [Infinity, 9]]. */
export function buckets(samples, name) {
  const counts = new Map();
  for (const { labels, value } of matching(samples, `${name}_bucket`)) {
    const bound = number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([one], [other]) => one - other);
}

/** What came between two readings of a histogram. */
export function since(now, before) {
  const earlier = new Map(before);
  return now.map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]);
}

/** A quantile, linear within its bucket, as Prometheus has it; null where nothing was counted. */
export function quantile(counts, share) {
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const rank = share * all;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of counts) {
    if (count >= rank) {
      if (bound === Infinity) return lower;
      return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}
