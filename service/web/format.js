/** Numbers and moments as people read them. */

const MINUS = "−";

/** Three significant digits, or as many as asked for: 0.126, 19.3, 1,240. */
export function figure(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  if (value === 0) return "0";
  const whole = Math.abs(value) >= 10 ** (digits - 1);
  return value
    .toLocaleString("en", {
      ...(whole
        ? { maximumFractionDigits: 0 }
        : { maximumSignificantDigits: digits, minimumSignificantDigits: digits }),
    })
    .replace("-", MINUS);
}

/** A number that was chosen, as it was written: 1.3, not 1.30. */
export function plain(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 4 }).replace("-", MINUS);
}

/** So many decimals, with a real minus. */
export function decimals(value, count) {
  return value.toFixed(count).replace("-", MINUS);
}

export function count(value) {
  return Math.round(value).toLocaleString("en");
}

export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits).replace("-", MINUS)} %`;
}

export function milliseconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value < 1000 ? `${figure(value, value < 10 ? 2 : 3)} ms` : `${figure(value / 1000)} s`;
}

/** 40 s, 5 min, 2 h 10 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function moment(text) {
  return text ? DAY.format(new Date(text)) : "–";
}

export function bytes(value) {
  return value < 2 ** 30 ? `${figure(value / 2 ** 20)} MiB` : `${figure(value / 2 ** 30)} GiB`;
}

/** name/3, or the name alone where there are no versions. */
export function solverName(solver) {
  return solver.version === null || solver.version === undefined
    ? solver.name
    : `${solver.name}/${solver.version}`;
}
