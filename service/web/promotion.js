/** Let an alias point at a version: forward or back. It moves only if it stands where it was seen. */

import { send } from "./api.js";
import { field, fill, h } from "./dom.js";
import { notice } from "./notice.js";
import { go } from "./router.js";

export const ALIASES = {
  champion: "what requests get by themselves",
  faithful: "the closest to the model’s own ODE",
};

/**
 * @param {any} entry  a name with its aliases
 * @param {number} version  what they may point at
 * @param {AbortSignal} signal
 */
export function promotion(entry, version, signal) {
  const elsewhere = Object.keys(ALIASES).filter((alias) => entry.aliases[alias] !== version);
  if (!elsewhere.length) return null;
  const place = h("div");
  const buttons = elsewhere.map((alias) =>
    h(
      "button.button",
      { type: "button", onclick: () => confirm(entry, version, alias, place, signal) },
      verb(entry, version, alias),
    ),
  );
  return [buttons, place];
}

function verb(entry, version, alias) {
  return (entry.aliases[alias] ?? 0) > version
    ? `Roll ${alias} back to this`
    : `Make this the ${alias}`;
}

function confirm(entry, version, alias, place, signal) {
  const note = h("input", { maxlength: 2000, placeholder: "Optional; it is kept in the history" });
  const expected = entry.aliases[alias] ?? null;
  const from =
    expected === null ? "It points nowhere yet." : `It points at version ${expected} now.`;
  const problem = h("div");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "promotion-title" },
    h(
      "form",
      h("h2", { id: "promotion-title" }, `${verb(entry, version, alias)}?`),
      h(
        "p.faint",
        `${alias} of ${entry.name} is ${ALIASES[alias]}. ${from} Running images keep the table that they started with.`,
      ),
      field("Why", note),
      problem,
      h(
        "div.buttons",
        h("button.button.primary", { type: "submit" }, `Point it at version ${version}`),
        h("button.button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  signal.addEventListener("abort", () => dialog.remove());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await send(
        "PUT",
        `solvers/${entry.name}/aliases/${alias}`,
        { version, expected, note: note.value },
        { signal },
      );
      dialog.close();
      go(["solvers", entry.name, version]);
    } catch (error) {
      if (signal.aborted) return;
      fill(
        problem,
        notice(error, error.status === 409 ? () => go(["solvers", entry.name, version]) : null),
      );
    }
  });
  place.append(dialog);
  dialog.showModal();
}
