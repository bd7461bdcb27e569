/** What a person waits for comes before what the page draws by itself. */

let busy = 0;
let waiting = [];

/** Do what somebody waits for. */
export async function inForeground(work) {
  busy += 1;
  try {
    return await work();
  } finally {
    busy -= 1;
    if (busy === 0) {
      for (const go of waiting) go();
      waiting = [];
    }
  }
}

/** When nobody waits for anything. */
export async function idle() {
  while (busy > 0) await new Promise((go) => waiting.push(go));
}
