/** Pictures that were drawn once, kept in the browser's own database. Without one, none are. */

const NAME = "fewstep";
const PICTURES = "pictures";

let opened = null;

/** @returns {Promise<string | undefined>} */
export async function recall(key) {
  return request("readonly", (pictures) => pictures.get(key));
}

export async function keep(key, picture) {
  await request("readwrite", (pictures) => pictures.put(picture, key));
}

async function request(mode, ask) {
  try {
    const database = await (opened ??= settled(opening()));
    return await settled(ask(database.transaction(PICTURES, mode).objectStore(PICTURES)));
  } catch {
    return undefined; // private windows may have none
  }
}

function opening() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(PICTURES);
  return opening;
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
