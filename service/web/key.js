/** The key of a server that asks for one. It is kept for this tab alone. */

import { field, h } from "./dom.js";

const PLACE = "fewstep.key";

let asking = null; // one dialog for all who wait

export function currentKey() {
  return sessionStorage.getItem(PLACE);
}

/** Ask for a key; null where the person has none. */
export function askForKey() {
  asking ??= dialogue().finally(() => {
    asking = null;
  });
  return asking;
}

function dialogue() {
  const input = h("input", { type: "password", autocomplete: "off", required: true });
  const refused = currentKey() !== null;
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, "This server asks for a key"),
      h(
        "p.faint",
        refused
          ? "It did not take the last one. Whoever runs the server has set its keys as FEWSTEP_API_KEYS."
          : "Whoever runs it has set its keys as FEWSTEP_API_KEYS. The key stays in this tab and is forgotten when you close it.",
      ),
      field("Key", input),
      h(
        "div.buttons",
        h("button.button.primary", { value: "use" }, "Use this key"),
        h("button.button", { value: "", formnovalidate: true }, "Cancel"),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((settle) => {
    dialog.addEventListener("close", () => {
      const key = dialog.returnValue === "use" ? input.value.trim() : null;
      if (key) sessionStorage.setItem(PLACE, key);
      dialog.remove();
      settle(key || null);
    });
  });
}
