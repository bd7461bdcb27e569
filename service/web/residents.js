/** The models at hand, and which of them are loaded: loading and unloading one while others draw. */

import { send } from "./api.js";
import { fill, h } from "./dom.js";
import { bytes } from "./format.js";
import { getModels } from "./models.js";
import { notice } from "./notice.js";
import { dataTable } from "./tables.js";

const COLUMNS = [
  { text: "Model" },
  { text: "Network" },
  { text: "Size", isNumber: true },
  { text: "State" },
  { text: "Change" },
];

/** @returns {Promise<HTMLElement>} */
export async function residents(signal) {
  const list = h("div");
  const problem = h("div", { "aria-live": "polite" });

  async function show() {
    const models = await getModels(signal);
    fill(list, dataTable("Models", COLUMNS, models.map(cells)));
  }

  function cells(model) {
    return [
      model.name,
      model.network,
      bytes(model.size_bytes),
      model.resident ? h("span.tag.good", "loaded") : h("span.tag", "at hand"),
      button(model),
    ];
  }

  function button({ name, resident }) {
    const label = `${resident ? "Unload" : "Load"} ${name}`;
    const change = async (event) => {
      event.currentTarget.disabled = true;
      fill(problem);
      try {
        await send(resident ? "DELETE" : "PUT", `models/${name}/residency`, undefined, { signal });
      } catch (error) {
        if (!signal.aborted) fill(problem, notice(error));
      }
      if (!signal.aborted) await show();
    };
    const properties = { type: "button", "aria-label": label, onclick: change };
    return h("button.button", properties, resident ? "Unload" : "Load");
  }

  await show();
  return h("section", h("h2", "Models"), list, problem);
}
