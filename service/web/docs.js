/** All routes, to read and to try. */

import { ask } from "./api.js";
import { fill, h } from "./dom.js";
import { currentKey } from "./key.js";

const place = document.getElementById("routes");

try {
  const spec = await (await ask("openapi.json")).json();
  globalThis.SwaggerUIBundle({
    spec,
    domNode: place,
    validatorUrl: null, // it lies on another host
    requestInterceptor: withKey,
  });
} catch (error) {
  fill(place, h("p", `The routes cannot be shown: ${error.message} Reload to try again.`));
}

function withKey(request) {
  const key = currentKey();
  if (key) request.headers.Authorization = `Bearer ${key}`;
  return request;
}
