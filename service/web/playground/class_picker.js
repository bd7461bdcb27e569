/**
 * All classes by their pictures. One of them has the focus: arrow keys move on, letters jump.
 */

import { classPicture } from "../class_pictures.js";
import { fill, h, newId } from "../dom.js";

const MANY = 60; // more classes can be filtered by name, and have room for it
const LARGE_BYTES = 100e6; // a model so large has better things to do than small pictures

/**
 * @param {any} model
 * @param {number} chosen
 * @param {(classId: number) => void} onChoose
 * @param {AbortSignal} signal
 */
export function classPicker(model, chosen, onChoose, signal) {
  const label = h("span.label", { id: newId("classes") }, "Class");
  const hasMany = model.classes.length > MANY;
  const grid = h(hasMany ? "div.classes.many" : "div.classes", { role: "radiogroup", "aria-labelledby": label.id });
  const buttons = model.classes.map((name, classId) =>
    h(
      "button",
      {
        type: "button",
        role: "radio",
        "aria-checked": String(classId === chosen),
        "aria-label": hasMany ? `${name} (${classId})` : name, // ImageNet has two cranes
        title: hasMany ? `${name} (${classId})` : name,
        tabindex: classId === chosen ? "0" : "-1",
        onclick: () => choose(classId),
      },
      h("span", hasMany ? name : shortened(name)),
    ),
  );
  grid.append(...buttons);
  requestAnimationFrame(() => reveal(buttons[chosen])); // once it has its place in the page
  grid.addEventListener("keydown", (event) => {
    const next = afterKey(event, buttons.indexOf(document.activeElement));
    if (next === null) return;
    event.preventDefault();
    choose(next);
    buttons[next].focus();
  });

  function reveal(button) {
    const middle = (box) => box.top + box.height / 2;
    const away = middle(button.getBoundingClientRect()) - middle(grid.getBoundingClientRect());
    grid.scrollTop += away; // of the grid alone: the page stays where it is
  }

  function choose(classId) {
    for (const [i, button] of buttons.entries()) {
      button.setAttribute("aria-checked", String(i === classId));
      button.tabIndex = i === classId ? 0 : -1;
    }
    onChoose(classId);
  }

  function afterKey(event, from) {
    if (from < 0 || event.ctrlKey || event.metaKey || event.altKey) return null;
    const last = buttons.length - 1;
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in moves) return Math.max(0, Math.min(last, from + moves[event.key]));
    if (event.key === "Home") return 0;
    if (event.key === "End") return last;
    if (event.key.length !== 1) return null;
    const letter = event.key.toLowerCase();
    const order = [...buttons.keys()].map((i) => (from + 1 + i) % buttons.length);
    return order.find((i) => model.classes[i].toLowerCase().startsWith(letter)) ?? null;
  }

  if (model.size_bytes < LARGE_BYTES) showPictures(model, buttons, signal);
  const filter =
    hasMany &&
    h("input", {
      type: "search",
      placeholder: "Find a class",
      "aria-label": "Find a class",
      oninput: (event) => {
        const wanted = event.target.value.toLowerCase();
        model.classes.forEach((name, i) => {
          buttons[i].hidden = !name.toLowerCase().includes(wanted);
        });
        const checked = buttons.find((button) => button.getAttribute("aria-checked") === "true");
        if (!checked.hidden) reveal(checked);
      },
    });
  return h("div.field", label, filter, grid);
}

/** Each is drawn once it can be seen, in the order in which they come into view. */
function showPictures(model, buttons, signal) {
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      show(model, buttons.indexOf(target), target, signal);
    }
  });
  for (const button of buttons) seen.observe(button);
  signal.addEventListener("abort", () => seen.disconnect());
}

async function show(model, classId, button, signal) {
  try {
    const picture = await classPicture(model, classId, signal);
    fill(button, h("img", { src: picture, alt: "" }));
  } catch {
    // The name stays in its place.
  }
}

/** As much of a name as a small square has room for. */
function shortened(name) {
  return name.length > 4 ? `${name.slice(0, 3)}…` : name;
}
