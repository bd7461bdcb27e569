/** What went wrong, and what to do about it. */

import { h } from "./dom.js";
import { link } from "./router.js";

/**
 * @param {Error & {title?: string, status?: number}} error
 * @param {(() => void) | null} again  what to do when the person wants to try again
 */
export function notice(error, again = null) {
  const retry =
    again && h("div.buttons", h("button.button", { type: "button", onclick: again }, "Try again"));
  const advice = ADVICE[error.status] ?? null;
  return h(
    "div.note.bad",
    { role: "alert" },
    error.title ? h("strong", error.title) : null,
    h("p", error.message),
    advice && h("p", advice),
    retry,
  );
}

/** A view of a server that has nothing to draw with. */
export function noModels(title) {
  const load = h("a.button", { href: link(["health"]) }, "Load one");
  return h("div.view", h("h1", title), h("div.empty", "No model is loaded.", load));
}

const ADVICE = {
  401: "Reload the page to give another key.",
  404: "It may have been on another server, or the address has a slip.",
  429: "The server is busy. Wait a moment, or ask for fewer steps.",
  503: "The server is starting, stopping or short of memory. Wait a moment.",
};
