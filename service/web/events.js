/**
 * Server-sent events out of a response. EventSource cannot send headers, and a key is one.
 * Source: the event stream format of the HTML standard, section 9.2.6.
 */

/** @param {Response} response */
export async function* events(response) {
  if (response.body === null) return; // 204: nothing more will come
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      yield* blocks.map(read).filter((event) => event !== null);
    }
  } finally {
    reader.cancel().catch(() => {}); // left early: the server need not go on
  }
}

function read(block) {
  const event = { name: "message", data: null, id: null };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    const value = line.slice(colon + 2);
    if (line.startsWith("event:")) event.name = value;
    else if (line.startsWith("id:")) event.id = value;
    else if (line.startsWith("data:")) event.data = JSON.parse(value);
  }
  return event.data === null ? null : event; // a comment: it only says that somebody is there
}
