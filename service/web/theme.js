/** The colours of the style sheet, for what is drawn on a canvas. */

let probe = null;

/** The present value of a custom property such as --accent, as rgb(). */
export function colour(name) {
  if (probe === null) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Call `redraw` whenever the scheme changes. */
export function onScheme(redraw, signal) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
}
