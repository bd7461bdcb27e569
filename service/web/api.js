/**
 * Requests to the server that the page came from. Paths are relative: a proxy may put one in front.
 */

import * as connection from "./connection.js";
import { events } from "./events.js";
import { askForKey, currentKey } from "./key.js";

/** The server refuses, and says why: a problem document. */
export class Problem extends Error {
  constructor(document) {
    const fields = (document.errors ?? []).map(({ field, rule }) => `${field}: ${rule}`);
    super(fields.join("; ") || document.detail || document.title);
    this.title = document.title;
    this.status = document.status;
    this.currentVersion = document.current_version ?? null;
  }
}

/** Nothing answers. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer. This goes on by itself when it is back.");
    this.title = "No answer";
  }
}

/** @returns {Promise<any>} */
export async function get(path, signal) {
  return (await ask(path, { signal })).json();
}

/** @returns {Promise<any>} */
export async function send(method, path, body, { signal, headers = {} } = {}) {
  return (await ask(path, { method, body, signal, headers })).json();
}

export async function getBlob(path, signal) {
  return (await ask(path, { signal })).blob();
}

/** The events of a stream as they come, [{name, data, id}]. */
export async function* stream(path, { method = "GET", body, signal, headers = {} } = {}) {
  const accept = { Accept: "text/event-stream" };
  const response = await ask(path, { method, body, signal, headers: { ...accept, ...headers } });
  try {
    yield* events(response);
  } catch (error) {
    throw signal?.aborted ? error : gone();
  }
}

/**
 * One request, and again with a key where the server asks for one.
 * Throws Problem, Unreachable, or the signal's AbortError.
 */
export async function ask(path, { method = "GET", body, signal, headers = {} } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const key = currentKey();
  if (key) sent.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: sent,
      body: body && JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw gone();
  }
  if (response.ok) return response;
  if (response.status === 401 && (await hasNewKey(key))) {
    return ask(path, { method, body, signal, headers });
  }
  throw await problemOf(response);
}

/** Another key than the one that was refused: given meanwhile, or now. */
async function hasNewKey(refused) {
  return currentKey() !== refused || (await askForKey()) !== null;
}

function gone() {
  connection.lost();
  return new Unreachable();
}

async function problemOf(response) {
  try {
    return new Problem(await response.json());
  } catch {
    return new Problem({ title: response.statusText || "Error", status: response.status });
  }
}
