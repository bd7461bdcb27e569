/**
 * What the search's table draws as it stands, below the champion and a classical solver at as many
 * steps, from the same noises.
 */

import { getBlob, send } from "../api.js";
import { fill, h } from "../dom.js";
import { dataUrl } from "../pictures.js";

const NUM_SAMPLES = 5;
const FIRST_SEED = 11;

/**
 * @param {any} job
 * @param {any} model
 * @param {AbortSignal} signal
 */
export function samples(job, model, signal) {
  const classes = spread(model.classes.length);
  const place = h("div.samples");
  const rows = new Map();
  let steps = null;

  /** Begin again for another step count. */
  function begin(next) {
    steps = next;
    rows.clear();
    const table = h(
      "tbody",
      [
        ["now", "This search, now"],
        ["auto", "Served today"],
        ["euler", "Euler"],
      ].map(([key, label]) => {
        const cells = classes.map(() => h("td", h("div.pixels")));
        rows.set(key, cells);
        return h("tr", h("th", { scope: "row" }, label), cells);
      }),
    );
    fill(place, h("table", h("caption", `${steps} steps, the same noises`), table));
    for (const solver of ["auto", "euler"]) drawRow(solver).catch(() => {});
  }

  async function drawRow(solver) {
    const wanted = steps;
    for (const [i, classId] of classes.entries()) {
      const order = {
        model: model.name,
        class_id: classId,
        steps: wanted,
        solver,
        seed: FIRST_SEED + i,
        guidance_scale: job.spec.guidance_scale,
      };
      const answer = await send("POST", "generate", order, { signal });
      if (wanted !== steps) return;
      put(
        solver,
        i,
        dataUrl(answer.images[0].base64),
        `${model.classes[classId]} by ${answer.solver.name}`,
      );
    }
  }

  function put(row, i, source, alt) {
    fill(rows.get(row)[i], h("img.pixels", { src: source, alt }));
  }

  begin(job.progress.steps ?? job.spec.steps[0]);
  return {
    element: place,
    /** Draw with the table as it is now. Throws a Problem where there is none at the moment. */
    async refresh(present) {
      if (present !== steps) begin(present);
      for (const [i, classId] of classes.entries()) {
        const query = new URLSearchParams({
          class_id: String(classId),
          seed: String(FIRST_SEED + i),
        });
        const picture = await getBlob(`search-jobs/${job.id}/sample?${query}`, signal);
        if (present !== steps) return;
        put(
          "now",
          i,
          await asDataUrl(picture),
          `${model.classes[classId]} by the table as it stands`,
        );
      }
    },
  };
}

/** Class numbers from all over the range. */
function spread(numClasses) {
  const count = Math.min(NUM_SAMPLES, numClasses);
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * numClasses) / count));
}

function asDataUrl(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result));
    reader.readAsDataURL(blob);
  });
}
