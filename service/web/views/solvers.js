/** Which solver is best where, and all that there are. */

import { get } from "../api.js";
import { h } from "../dom.js";
import { bestClassical, deciding, latest } from "../evidence.js";
import { decimals, figure, moment, percent, plain, solverName } from "../format.js";
import { automatic, getModels } from "../models.js";
import { ALIASES } from "../promotion.js";
import { link } from "../router.js";
import { stepsOf } from "../searching/words.js";
import { dataTable, scrolling } from "../tables.js";

const STEPS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20];

/** @type {import("../app.js").View} */
export async function solvers(_, signal) {
  const [models, { solvers: all }] = await Promise.all([getModels(signal), get("solvers", signal)]);
  const champions = all.filter((entry) => entry.target !== null && entry.aliases.champion);
  const versions = await Promise.all(
    champions.map((entry) =>
      get(`solvers/${entry.name}/versions/${entry.aliases.champion}`, signal),
    ),
  );
  const known = new Map(
    champions.map((entry, i) => [keyOf(entry.target, entry.steps), versions[i]]),
  );
  return h(
    "div.view",
    h(
      "div.view-head",
      h("h1", "Solvers"),
      h(
        "p",
        "The champion of each model and step count, by its Fréchet distance to real images, and how much lower that is than the best classical solver’s. Requests follow it by themselves.",
      ),
    ),
    matrix(models, champions, known),
    everything(all),
  );
}

function keyOf({ model, guidance_scale: guidance }, steps) {
  return `${model} ${guidance} ${steps}`;
}

function matrix(models, champions, known) {
  const columns = [...new Set([...STEPS, ...champions.map((entry) => entry.steps)])];
  columns.sort((one, other) => one - other);
  const head = columns.map((steps) =>
    h("th", { scope: "col" }, steps, h("span.unseen", steps === 1 ? " step" : " steps")),
  );
  const body = models
    .flatMap((model) => rowsOf(model, champions))
    .map(({ model, guidance }) =>
      h(
        "tr",
        h("th", { scope: "row" }, model.name, h("small", `guidance ${plain(guidance)}`)),
        columns.map((steps) => {
          const version = known.get(keyOf({ model: model.name, guidance_scale: guidance }, steps));
          return version ? championCell(version) : plainCell(model, guidance, steps);
        }),
      ),
    );
  return scrolling(
    "Champions by model and steps",
    "matrix panel",
    h("table", h("thead", h("tr", h("th", { scope: "col" }, "Model"), head)), h("tbody", body)),
  );
}

/** A model at its usual guidance, and at every other one that something was searched for. */
function rowsOf(model, champions) {
  const searched = champions
    .filter((entry) => entry.target.model === model.name)
    .map((entry) => entry.target.guidance_scale);
  const guidances = [...new Set([model.default_guidance_scale, ...searched])];
  return guidances.map((guidance) => ({ model, guidance }));
}

function championCell(version) {
  const href = link(["solvers", version.name, version.version]);
  const evidence = latest(version.evidence);
  const metric = evidence && deciding(evidence.metrics);
  if (!metric) {
    return h("td.champion", h("a", { href }, h("b", version.name), h("small", "not measured")));
  }
  const value = evidence.metrics[metric.name];
  const rival = bestClassical(evidence);
  const gain = rival ? 1 - value / rival.metrics[metric.name] : 0;
  const cell = h(
    "td.champion",
    h(
      "a",
      { href, title: rival && `${rival.name} has ${metric.say(rival.metrics[metric.name])}` },
      h("span.unseen", `${solverName(version)}, ${metric.label} `),
      h("b", value >= 10 && value < 100 ? decimals(value, 1) : figure(value)),
      rival && [h("small", percent(-gain)), h("span.unseen", " "), h("small", `vs ${rival.name}`)],
    ),
  );
  cell.style.setProperty("--gain", String(Math.max(0, Math.min(1, gain))));
  return cell;
}

/** No champion yet: what serves instead, and the way to a better one. */
function plainCell(model, guidance, steps) {
  const serving = automatic(model, steps, guidance);
  const href = link(["searches"], { model: model.name, steps, guidance });
  const name = serving?.name.replace(new RegExp(`-${steps}$`), "") ?? "best known";
  const wanted = `a better solver for ${stepsOf({ steps: [steps] })} of ${model.name}`;
  const rest = h("span.unseen", ` ${wanted}`);
  return h("td.plain", h("a", { href }, h("small", name), h("small", "search", rest)));
}

function everything(all) {
  const own = all.filter((entry) => entry.target !== null);
  const published = all.filter((entry) => entry.kind === "stored" && entry.target === null);
  const classical = all.filter((entry) => entry.kind === "classical");
  return [
    h(
      "section",
      h("h2", "Made for a model"),
      h(
        "p.faint",
        Object.entries(ALIASES)
          .map(([alias, meaning]) => `${alias}: ${meaning}`)
          .join("; "),
        ".",
      ),
      own.length
        ? listed("Solvers made for a model", own)
        : h("p.empty", "Nothing yet. Start a search, or import a table with POST /solvers."),
    ),
    published.length
      ? h(
          "section",
          h("h2", "For any model on their schedule"),
          h(
            "details",
            h("summary", `${published.length} tables, most of them published with papers`),
            listed("Solvers for any model", published),
          ),
        )
      : null,
    h(
      "section",
      h("h2", "Classical"),
      h("p.faint", "Written once as formulas; each takes any number of steps from 1 to 256."),
      h(
        "p",
        classical.map((entry) => [h("span.tag", entry.name), " "]),
      ),
    ),
  ];
}

const COLUMNS = [
  { text: "Name" },
  { text: "Steps", isNumber: true },
  { text: "Made for" },
  { text: "Versions", isNumber: true },
  { text: "Aliases" },
  { text: "Since" },
];

function listed(label, entries) {
  return dataTable(label, COLUMNS, [...entries].sort(byFamilyAndSteps).map(cells));
}

function byFamilyAndSteps(one, other) {
  const family = ({ name }) => name.replace(/\d+$/, "");
  return family(one).localeCompare(family(other)) || one.steps - other.steps;
}

function cells({ name, steps, target, schedule, num_versions: count, aliases, created_at: since }) {
  return [
    h("a", { href: link(["solvers", name]) }, name),
    steps,
    target ? `${target.model}, guidance ${plain(target.guidance_scale)}` : schedule,
    count,
    Object.entries(aliases).map(([alias, at]) => [h("span.tag", `${alias} → ${at}`), " "]),
    moment(since),
  ];
}
