// Numbers and times as people read them, and elements that hold nothing but text.

// Between a number and its unit no line ends.
const S = "\u00a0";

export function ago(seconds) {
  const s = Math.max(0, Math.round(seconds));
  return s < 5 ? "just now" : `${lasting(s)} ago`;
}

export function lasting(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s}${S}s`;
  if (s < 100 * 60) return `${Math.round(s / 60)}${S}min`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)}${S}h`;
  return `${Math.round(s / 86400)}${S}days`;
}

export function took(seconds) {
  if (seconds === 0) return `0${S}s`;
  if (seconds < 1) return `${Math.round(seconds * 1000)}${S}ms`;
  return seconds < 100 ? `${Number(seconds.toPrecision(2))}${S}s` : lasting(seconds);
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = count, at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1024; at += 1; }
  return `${at === 0 || n >= 100 ? Math.round(n) : Number(n.toPrecision(2))}${S}${units[at]}`;
}

export function percent(share) {
  const p = share * 100;
  return `${p > 0 && p < 9.95 ? p.toFixed(1) : Math.round(p)}${S}%`;
}

export function number(count) {
  return count >= 100 || Number.isInteger(count) ? Math.round(count).toLocaleString("en").replaceAll(",", "\u202f")
    : String(Number(count.toPrecision(2)));
}

export function clock(at) {
  return new Date(at * 1000).toLocaleString("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });
}

// An element; `given` are attributes, and whatever is in it is text or another element: never markup.
export function h(tag, given = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === false || value === null || value === undefined) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...inside.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

// A moment, told by how long ago it was; `tick` keeps that true.
export function moment(at) {
  const iso = new Date(at * 1000).toISOString();
  return h("time", { datetime: iso, title: new Date(at * 1000).toLocaleString(), "data-at": at });
}

export function tick(now) {
  for (const one of document.querySelectorAll("time[data-at]")) {
    const text = ago(now - Number(one.dataset.at));
    if (one.textContent !== text) one.textContent = text;
  }
}
