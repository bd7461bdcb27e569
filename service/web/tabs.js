/** Tabs over one panel. Arrow keys move between them. */

import { h, newId } from "./dom.js";

/**
 * @param {string} label
 * @param {[string, string][]} entries  names and what they are called
 * @param {(name: string) => void} onSelect
 * @param {HTMLElement} panel
 */
export function tabs(label, entries, onSelect, panel) {
  panel.id ||= newId("panel");
  panel.setAttribute("role", "tabpanel");
  const buttons = entries.map(([name, text]) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: newId("tab"),
        "aria-controls": panel.id,
        onclick: () => choose(name),
      },
      text,
    ),
  );

  function select(name) {
    entries.forEach(([each], i) => {
      const isIt = each === name;
      buttons[i].setAttribute("aria-selected", String(isIt));
      buttons[i].tabIndex = isIt ? 0 : -1;
      if (isIt) panel.setAttribute("aria-labelledby", buttons[i].id);
    });
  }

  function choose(name) {
    select(name);
    onSelect(name);
  }

  const element = h("div.tabs", { role: "tablist", "aria-label": label }, buttons);
  element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    const next = (buttons.indexOf(document.activeElement) + by + buttons.length) % buttons.length;
    choose(entries[next][0]);
    buttons[next].focus();
  });
  return { element, select };
}
