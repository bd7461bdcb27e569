/** Pixels: decoded, compared, and saved. */

/** The address of a PNG as the server sends it. */
export function dataUrl(base64) {
  return `data:image/png;base64,${base64}`;
}

/** @returns {Promise<ImageData>} */
export async function pixels(base64) {
  const image = new Image();
  image.src = dataUrl(base64);
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * The root mean square difference of two pictures, whose channels go from −1 to 1 as the model has
 * them; the same measure as `endpoint_rmse`, after rounding to 8 bits.
 */
export function difference(one, other) {
  let sum = 0;
  for (let i = 0; i < one.data.length; i += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      const delta = (one.data[i + channel] - other.data[i + channel]) / 127.5;
      sum += delta * delta;
    }
  }
  return Math.sqrt(sum / (one.data.length * 0.75));
}

/** Grey where two pictures are equal, lighter and darker by `factor` times where they differ. */
export function amplified(one, other, factor) {
  const out = new ImageData(one.width, one.height);
  for (let i = 0; i < out.data.length; i += 1) {
    out.data[i] = i % 4 === 3 ? 255 : 128 + factor * (one.data[i] - other.data[i]);
  }
  return out;
}

/** Draw pixels onto a canvas of their size. */
export function paint(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Save a file as it came: a PNG keeps its provenance. */
export async function save(base64, name) {
  const blob = await (await fetchLocal(base64)).blob();
  const url = URL.createObjectURL(blob);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function fetchLocal(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Response(bytes, { headers: { "Content-Type": "image/png" } });
}
