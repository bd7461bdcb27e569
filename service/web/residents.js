/** The models at hand, and which of them are loaded: loading and unloading one while others draw. */

import { send } from "./api.js";
import { fill, h } from "./dom.js";
import { bytes } from "./format.js";
import { getModels } from "./models.js";
import { notice } from "./notice.js";
import { lookAgain } from "./router.js";
import { dataTable } from "./tables.js";

const COLUMNS = [
  { text: "Model" },
  { text: "Network" },
  { text: "Size", isNumber: true },
  { text: "State" },
  { text: "Change" },
];

/** A view of a model that is at hand only: another one in its place would be a surprise. */
export function notLoaded(title, { name }, signal) {
  const problem = h("div", { "aria-live": "polite" });
  const load = async (event) => {
    event.currentTarget.disabled = true;
    fill(problem, h("p.faint", "Loading …"));
    try {
      await change(name, true, signal);
      lookAgain();
    } catch (error) {
      if (!signal.aborted) fill(problem, notice(error));
    }
  };
  const button = h("button.button", { type: "button", onclick: load }, `Load ${name}`);
  return h("div.view", h("h1", title), h("div.empty", `${name} is not loaded.`, button), problem);
}

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
    const press = async (event) => {
      event.currentTarget.disabled = true;
      fill(problem);
      try {
        await change(name, !resident, signal);
      } catch (error) {
        if (!signal.aborted) fill(problem, notice(error));
      }
      if (!signal.aborted) await show();
    };
    const properties = { type: "button", "aria-label": label, onclick: press };
    return h("button.button", properties, resident ? "Unload" : "Load");
  }

  await show();
  return h("section", h("h2", "Models"), list, problem);
}

async function change(name, isWanted, signal) {
  await send(isWanted ? "PUT" : "DELETE", `models/${name}/residency`, undefined, { signal });
}
