/** The same request from elsewhere: as curl and as Python. */

import { currentKey } from "./key.js";

/** Where the server lies, without the part behind #. */
function base() {
  return new URL("./", location.href.split("#")[0]).href.replace(/\/$/, "");
}

export function asCurl(body) {
  const key = currentKey() ? ` \\\n  -H "Authorization: Bearer $FEWSTEP_KEY"` : "";
  return `curl -s ${base()}/generate \\
  -H 'Content-Type: application/json' -H 'Accept: image/png'${key} \\
  -d '${JSON.stringify(body)}' \\
  -o picture.png`;
}

export function asPython(body) {
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value)},`);
  const key = currentKey() ? `, api_key=os.environ["FEWSTEP_KEY"]` : "";
  return `${key ? "import os\n" : ""}from pathlib import Path

from service.client import Client, Order

order = Order(
${fields.join("\n")}
)
with Client("${base()}"${key}) as client:
    answer = client.generate(order)
Path("picture.png").write_bytes(answer.images[0].png)`;
}

/** Copy text; also where the page does not come over HTTPS, and the clipboard is not for it. */
export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}
