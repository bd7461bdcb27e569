/** The page: one view at a time, as the address says. */

import { isAway, watch } from "./connection.js";
import { fill, h } from "./dom.js";
import { notice } from "./notice.js";
import { currentRoute, link } from "./router.js";
import { health } from "./views/health.js";
import { playground } from "./views/playground.js";
import { search } from "./views/search.js";
import { searches } from "./views/searches.js";
import { solver } from "./views/solver.js";
import { solvers } from "./views/solvers.js";

/**
 * A view makes an element, perhaps after asking the server, and ends when its signal is aborted.
 * @typedef {(route: import("./router.js").Route, signal: AbortSignal) => Promise<HTMLElement>} View
 */

const main = document.getElementById("main");
let leaving = new AbortController();
let hasFailed = false;
let isFirst = true; // the page itself says its name when it is loaded

/** @returns {{ view: View | null, title: string }} */
function viewAt({ path: [place = "playground", ...rest] }) {
  switch (place) {
    case "playground":
      return { view: playground, title: "Playground" };
    case "solvers":
      return rest.length
        ? { view: solver, title: rest.join("/") }
        : { view: solvers, title: "Solvers" };
    case "searches":
      return rest.length
        ? { view: search, title: `Search ${rest[0]}` }
        : { view: searches, title: "Searches" };
    case "health":
      return { view: health, title: "Health" };
    default:
      return { view: null, title: "Not here" };
  }
}

async function show() {
  const route = currentRoute();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { view, title } = viewAt(route);
  document.title = `${title} · fewstep`;
  markNavigation(route.path[0] ?? "playground");
  main.setAttribute("aria-busy", "true");
  const element = await made(view, route, signal);
  if (signal.aborted) return;
  fill(main, element);
  main.removeAttribute("aria-busy");
  if (isFirst) {
    isFirst = false;
    return;
  }
  scrollTo(0, 0);
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

async function made(view, route, signal) {
  hasFailed = false;
  if (view === null) return nowhere();
  try {
    return await view(route, signal);
  } catch (error) {
    if (!signal.aborted) {
      hasFailed = true;
      if (!error.title) console.error(error);
    }
    return h("div.view", h("h1", "This cannot be shown"), notice(error, show));
  }
}

function nowhere() {
  const home = h("a.button", { href: link(["playground"]) }, "Go to the playground");
  return h(
    "div.view",
    h("h1", "There is nothing here"),
    h("p", "The address may have lost a part on its way."),
    h("p", home),
  );
}

function markNavigation(place) {
  for (const entry of document.querySelectorAll("nav a")) {
    if (entry.getAttribute("href") === `#/${place}`) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
}

function tellConnection() {
  const place = document.getElementById("connection");
  fill(place, isAway() ? "The server does not answer. Trying again; nothing here is lost." : "");
  if (!isAway() && hasFailed) show();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
watch(tellConnection);
show();
