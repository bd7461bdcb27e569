/**
 * Whether the server answers. Whoever finds that it does not says so; it is then asked until it
 * answers again, and whoever waits goes on.
 */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

const watchers = new Set();
let back = null; // while the server is away: settled when it is there again

/** Be told whenever it goes away (false) or comes back (true). */
export function watch(watcher, signal) {
  watchers.add(watcher);
  signal?.addEventListener("abort", () => watchers.delete(watcher));
}

export function isAway() {
  return back !== null;
}

/** The server did not answer. Returns when it does again. */
export function lost() {
  if (back === null) {
    back = returned().then(() => {
      back = null;
      tell(true);
    });
    tell(false);
  }
  return back;
}

async function returned() {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 1.5)) {
    await new Promise((done) => setTimeout(done, wait));
    try {
      if ((await fetch("livez", { cache: "no-store" })).ok) return;
    } catch {
      // Still away.
    }
  }
}

function tell(isThere) {
  for (const watcher of [...watchers]) watcher(isThere);
}
