/**
 * Where we are, as the part of the address behind #: every state can be kept and sent.
 *
 *     #/playground?class=10&steps=4    #/solvers/glyphs-g1.3-4/1    #/searches/ID    #/health
 */

/** @typedef {{ path: string[], query: URLSearchParams }} Route */

/** @returns {Route} */
export function currentRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return {
    path: path.split("/").filter(Boolean).map(decode),
    query: new URLSearchParams(query),
  };
}

/** The address of a place; null and undefined in the query are left out. */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(
    given.map(([name, value]) => [name, String(value)]),
  ).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** Go there; where we are there already, look again. */
export function go(path, query) {
  const address = link(path, query);
  if (location.hash === address) lookAgain();
  else location.hash = address;
}

/** Show this place anew. */
export function lookAgain() {
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Say in the address what the view shows, without a new entry in the history. */
export function note(path, query) {
  history.replaceState(null, "", link(path, query));
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
