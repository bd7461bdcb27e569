/**
 * A picture of each class, drawn by the model itself when it is looked at: one after the other, in
 * few steps, and never while a person waits for something else.
 */

import { send } from "./api.js";
import { idle } from "./foreground.js";
import { keep, recall } from "./kept.js";
import { dataUrl } from "./pictures.js";

const STEPS = 4;
const SEED = 12;

let last = Promise.resolve(); // of the queue

/** @returns {Promise<string>} an address for an image */
export async function classPicture(model, classId, signal) {
  const key = `${model.digest}/${classId}/${SEED}`;
  const known = await recall(key);
  if (known) return known;
  const drawn = last.then(() => draw(model, classId, signal));
  last = drawn.catch(() => {});
  const picture = await drawn;
  keep(key, picture);
  return picture;
}

async function draw(model, classId, signal) {
  await idle();
  signal.throwIfAborted();
  const body = { model: model.name, class_id: classId, steps: STEPS, seed: SEED };
  const answer = await send("POST", "generate", body, { signal });
  return dataUrl(answer.images[0].base64);
}
