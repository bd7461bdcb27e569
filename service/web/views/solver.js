/** One version: its table, its evidence, where it came from, and where its name has pointed. */

import { get } from "../api.js";
import { h, select } from "../dom.js";
import { decisions, evidenceTable, measuredOn } from "../evidence.js";
import { moment, plain } from "../format.js";
import { heatMap } from "../heat_map.js";
import { promotion } from "../promotion.js";
import { go, link } from "../router.js";
import { numbers, timeLines } from "../table_views.js";

/** @type {import("../app.js").View} */
export async function solver({ path: [, name, given], query }, signal) {
  const [entry, { solvers: all }] = await Promise.all([
    get(`solvers/${encodeURIComponent(name)}`, signal),
    get("solvers", signal),
  ]);
  if (entry.kind === "classical") return classical(entry);
  const number = Number(given ?? entry.aliases.champion ?? entry.versions.at(-1).version);
  const version = await get(`solvers/${name}/versions/${number}`, signal);
  const against = await other(query.get("against"), signal);
  const title = `${name}/${number}`;
  const aside = [times(version, against, title), history(entry)];
  return h(
    "div.view",
    head(entry, version, title),
    h(
      "div.buttons",
      drawLink(entry, version),
      versionChoice(entry, number),
      compared(entry, number, all, query.get("against")),
      promotion(entry, number, signal),
    ),
    h(
      "div.columns",
      weights(version, title, signal),
      against
        ? weights(against, `${against.name}/${against.version}`, signal)
        : h("div.view", aside),
    ),
    against ? h("div.columns", aside) : null,
    [version, against].filter(Boolean).map((each) => evidence(each)),
    provenance(version),
  );
}

async function other(reference, signal) {
  if (!reference) return null;
  const [name, number] = reference.split("/");
  return get(`solvers/${encodeURIComponent(name)}/versions/${encodeURIComponent(number)}`, signal);
}

function classical(entry) {
  return h(
    "div.view",
    h(
      "div.view-head",
      h("h1", entry.name),
      h(
        "p",
        "A classical solver: a formula that gives a table for every number of steps. It has no versions.",
      ),
    ),
    h(
      "p",
      h(
        "a.button",
        { href: link(["playground"], { solver: entry.name, steps: 8 }) },
        "Draw with it",
      ),
    ),
  );
}

function head(entry, version, title) {
  const { table } = version;
  const aliases = Object.entries(entry.aliases)
    .filter(([, at]) => at === version.version)
    .map(([alias]) => alias);
  return h(
    "div.view-head",
    h("p.crumb", h("a", { href: link(["solvers"]) }, "Solvers")),
    h(
      "div.title-row",
      h("h1", title),
      aliases.map((alias) => h("span.tag.good", alias)),
    ),
    h(
      "p",
      `${table.times.length - 1} steps on ${table.schedule}, summing ${table.prediction} predictions`,
      entry.target
        ? `; made for ${entry.target.model} at guidance ${plain(entry.target.guidance_scale)}.`
        : ".",
    ),
  );
}

function drawLink({ target, aliases, name }, { version, table }) {
  const query = {
    model: target?.model,
    guidance: target?.guidance_scale,
    steps: table.times.length - 1,
    solver: aliases.champion === version ? name : `${name}/${version}`,
  };
  return h("a.button", { href: link(["playground"], query) }, "Draw with it");
}

function versionChoice(entry, number) {
  if (entry.versions.length < 2) return null;
  const versions = entry.versions.map((each) => [String(each.version), `Version ${each.version}`]);
  return h(
    "div.inline-choice",
    select(versions, String(number), {
      "aria-label": "Version",
      onchange: (event) => go(["solvers", entry.name, event.target.value]),
    }),
  );
}

function weights(version, title, signal) {
  return h(
    "section",
    h("h2", `Weights of ${title}`),
    heatMap(version.table, `Weights of ${title}`, signal).element,
    h(
      "p.faint",
      "Row n is what step n adds: how much of each prediction so far. Blue adds, orange takes away.",
    ),
    numbers(version.table),
  );
}

function times(version, against, title) {
  const entries = [{ label: title, table: version.table }];
  if (against) entries.push({ label: `${against.name}/${against.version}`, table: against.table });
  entries.push({ label: "even steps", table: evenly(version.table), isOther: true });
  return h(
    "section",
    h("h2", "Times"),
    h(
      "p.faint",
      `Where the image stands after each step: ${entries.map(({ label }) => label).join(", then ")}, from above.`,
    ),
    timeLines(entries),
  );
}

/** The same ends, in steps of one length. */
function evenly(table) {
  const steps = table.times.length - 1;
  const [from, to] = [table.times[0], table.times[steps]];
  return { ...table, times: table.times.map((_, i) => from + ((to - from) * i) / steps) };
}

function evidence(version) {
  const title = `${version.name}/${version.version}`;
  return h(
    "section",
    h("h2", `Evidence for ${title}`),
    version.evidence.length
      ? version.evidence.map((each) =>
          h(
            "div.view",
            h("p.faint", measuredOn(each)),
            evidenceTable(title, each),
            decisions(each),
          ),
        )
      : h(
          "p.empty",
          "Nobody has measured this version here. A search measures what it finds; ./run evaluate measures the rest.",
        ),
  );
}

function provenance(version) {
  const entries = Object.entries(version.source).filter(
    ([, value]) => value !== null && typeof value !== "object",
  );
  const figures = version.source.figures ?? [];
  return h(
    "section",
    h("h2", "Where it comes from"),
    h(
      "dl.facts",
      entries.map(([name, value]) => [
        h("dt", name.replaceAll("_", " ")),
        h(name.endsWith("digest") ? "dd.mono" : "dd", shown(value)),
      ]),
      figures.map((each) => [h("dt", each.metric), h("dd", `${each.value} on ${each.model}`)]),
      h("dt", "digest"),
      h("dd.mono", version.digest),
      h("dt", "kept since"),
      h("dd", moment(version.created_at)),
    ),
  );
}

function shown(value) {
  if (typeof value === "number") return value.toLocaleString("en", { maximumFractionDigits: 4 });
  return String(value);
}

function history(entry) {
  const moves = [...entry.moves].reverse();
  return h(
    "section",
    h("h2", "History"),
    moves.length
      ? h(
          "ol.history",
          moves.map((move) =>
            h(
              "li",
              h(
                "span",
                h("b", move.alias),
                ` → version ${move.version}`,
                move.from_version ? h("span.faint", ` from ${move.from_version}`) : null,
              ),
              h(
                "small",
                `${moment(move.moved_at)} · ${move.moved_by}${move.note ? ` · ${move.note}` : ""}`,
              ),
            ),
          ),
        )
      : h("p.faint", "No alias has pointed at it yet."),
  );
}

function compared(entry, number, all, against) {
  const versions = all
    .filter((each) => each.kind === "stored" && each.schedule === entry.schedule)
    .flatMap((each) => Array.from({ length: each.num_versions }, (_, i) => `${each.name}/${i + 1}`))
    .filter((reference) => reference !== `${entry.name}/${number}`);
  const options = [
    ["", against ? "Compare with nothing" : "Compare with …"],
    ...versions.map((each) => [each, each]),
  ];
  return h(
    "div.inline-choice",
    select(options, against ?? "", {
      "aria-label": "Compare with another version",
      onchange: (event) =>
        go(["solvers", entry.name, number], { against: event.target.value || null }),
    }),
  );
}
