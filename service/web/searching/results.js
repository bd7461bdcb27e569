/** What was found for a step count, against the champion and the classical solvers. */

import { h, svg } from "../dom.js";
import { deciding, decisions, evidenceTable, rivals } from "../evidence.js";
import { solverName } from "../format.js";
import { link } from "../router.js";

export function resultCard(result) {
  const { solver, evidence } = result;
  const name = solverName(solver);
  return h(
    "section.result",
    h(
      "div.title-row",
      h("h2", h("a", { href: link(["solvers", solver.name, solver.version]) }, name)),
      result.promoted.map((alias) => h("span.tag.good", `now ${alias}`)),
      result.promoted.length ? null : h("span.tag", "kept, not promoted"),
    ),
    h("p", result.decision),
    evidence && [
      bars(name, evidence),
      h(
        "details",
        h("summary", "All measurements"),
        h("div.view", evidenceTable(name, evidence), decisions(evidence)),
      ),
    ],
    h(
      "div.buttons",
      h(
        "a.button",
        {
          href: link(["playground"], {
            steps: result.steps,
            guidance: evidence?.guidance_scale,
            compare: `euler:${result.steps},${solver.name}/${solver.version}:${result.steps}`,
          }),
        },
        "Compare with Euler",
      ),
      h("a.button", { href: link(["solvers"]) }, "See it in the matrix"),
    ),
  );
}

/** The deciding figure of each, as lengths. */
function bars(name, evidence) {
  const metric = deciding(evidence.metrics);
  if (metric === null) return null;
  const entries = [{ name, value: evidence.metrics[metric.name], isOurs: true }];
  for (const rival of rivals(evidence)) {
    if (rival.metrics[metric.name] !== undefined)
      entries.push({ name: rival.name, value: rival.metrics[metric.name], isOurs: false });
  }
  entries.sort((one, other) => one.value - other.value);
  const most = Math.max(...entries.map((entry) => entry.value));
  return h(
    "div",
    h("p.faint", `${metric.label}, ${metric.hint}`),
    h(
      "dl.bars",
      entries.map((entry) => [
        h("dt", entry.isOurs ? h("b", entry.name) : entry.name),
        h(
          "dd",
          { "aria-hidden": "true" },
          svg(
            "svg",
            { viewBox: "0 0 100 12", preserveAspectRatio: "none" },
            svg("rect", {
              class: entry.isOurs ? "ours" : "",
              width: (100 * entry.value) / most,
              height: 12,
              rx: 0.5,
            }),
          ),
        ),
        h("dd", metric.say(entry.value)),
      ]),
    ),
  );
}
