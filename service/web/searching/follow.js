/** The events of a search from the first to the last, over as many connections as it takes. */

import { stream, Unreachable } from "../api.js";
import { lost } from "../connection.js";

const PAUSE_MS = 500; // a server that stops ends its streams, and is gone a moment later

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
export async function* follow(id, signal) {
  let last = 0;
  while (!signal.aborted) {
    const headers = last ? { "Last-Event-ID": String(last) } : {};
    try {
      for await (const event of stream(`search-jobs/${id}/events`, { signal, headers })) {
        last = Number(event.id);
        yield event;
        if (event.name === "finished") return;
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      await lost();
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
