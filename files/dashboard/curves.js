// The last day as curves: lines and axes by d3, which Prometheus' own package brings to the host.
import { bytes, clock, h, number, percent, took } from "./words.js";

const WORDS = { bytes, number, percent, took };
const HEIGHT = 150, LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 22;
let d3 = null, kept = null;

function loaded() {
  if (d3 !== null) return Promise.resolve(d3);
  return new Promise((done, failed) => {
    const script = h("script", { src: "d3.js" });
    script.onload = () => { d3 = window.d3; done(d3); };
    script.onerror = () => failed(new Error("d3.js is not there"));
    document.head.append(script);
  });
}

function nameOf(labels, many) {
  const own = [labels.app, labels.datname, labels.mountpoint].filter(Boolean);
  return [...(many ? [labels.host] : []), ...own].join(" ");
}

export async function showCurves(curves, series, { host, end }) {
  const place = document.getElementById("curves");
  place.hidden = false;
  try {
    await loaded();
  } catch (error) {
    place.replaceChildren(h("h2", {}, "The last day"), h("p", {}, `No curves: ${error.message}.`));
    return;
  }
  kept = { curves, series, host, end };
  const figures = curves.map((curve) => figure(curve, series.filter((one) => one.curve === curve.key), end))
    .filter((one) => one !== null);
  place.replaceChildren(h("h2", {}, host === null ? "The last day" : `The last day of ${host}`),
    h("div", { class: "curves" }, figures));
  for (const one of place.querySelectorAll("figure")) one.draw();
}

function figure(curve, series, end) {
  const points = (one) => one.points.filter(([, value]) => Number.isFinite(value));
  const all = series.map((one) => ({ labels: one.labels, points: points(one) })).filter((one) => one.points.length);
  // As many as have a look of their own.
  const lines = all.slice(0, 6);
  if (lines.length === 0) return null;
  const many = new Set(lines.map((one) => one.labels.host)).size > 1;
  const words = WORDS[curve.unit];
  const legend = h("ul", { class: "legend" }, lines.map((one, at) => {
    const values = one.points.map(([, value]) => value), last = values[values.length - 1];
    const name = nameOf(one.labels, many);
    return h("li", { class: `line${at}` }, `${name}${name ? ": " : ""}now ${words(last)}, `
      + `${words(Math.min(...values))} to ${words(Math.max(...values))}`);
  }));
  if (all.length > lines.length) legend.append(h("li", {}, `and ${all.length - lines.length} more; choose a host`));
  const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const cursor = h("output", { class: "cursor" });
  const made = h("figure", {}, h("figcaption", {}, curve.title, " ", cursor), chart, legend);
  chart.setAttribute("role", "img");
  chart.setAttribute("tabindex", "0");
  chart.setAttribute("aria-label", `${curve.title}: ${[...legend.children].map((one) => one.textContent).join("; ")}. `
    + "Left and right tell single values.");
  made.draw = () => plot(d3.select(chart), lines, { words, end, cursor, many, percent: curve.unit === "percent",
    least: { bytes: 1024, number: 5, took: 0.01, percent: 1 }[curve.unit], unit: curve.unit });
  return made;
}

function plot(svg, lines, { words, end, cursor, many, percent: whole, least, unit }) {
  const width = Math.max(200, svg.node().parentNode.clientWidth);
  svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).selectAll("*").remove();
  const highest = Math.max(least, 1.1 * d3.max(lines, (one) => d3.max(one.points, ([, value]) => value)));
  const top = whole ? 1 : highest, step = unit === "bytes" ? 1024 ** Math.floor(Math.log(top) / Math.log(1024)) : 1;
  const ticks = d3.scale.linear().domain([0, top / step]).ticks(4).map((one) => one * step);
  const x = d3.time.scale().domain([new Date((end - 86400) * 1000), new Date(end * 1000)]).range([LEFT, width - RIGHT]);
  const y = d3.scale.linear().domain([0, top]).range([HEIGHT - BOTTOM, TOP]);
  const path = d3.svg.line().x(([at]) => x(at * 1000)).y(([, value]) => y(value));
  svg.append("g").attr("class", "axis").attr("transform", `translate(${LEFT},0)`)
    .call(d3.svg.axis().scale(y).orient("left").tickValues(ticks).tickSize(-(width - LEFT - RIGHT)).tickFormat(words));
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${HEIGHT - BOTTOM})`)
    .call(d3.svg.axis().scale(x).orient("bottom").ticks(width < 400 ? 4 : 8).tickFormat(d3.time.format("%H:%M")));
  lines.forEach((one, at) => {
    // Where nothing was measured there is no line.
    for (const run of runsOf(one.points)) svg.append("path").attr("class", `curve line${at}`).attr("d", path(run));
  });
  const mark = svg.append("line").attr("class", "mark").attr("y1", TOP).attr("y2", HEIGHT - BOTTOM).style("display", "none");
  const times = [...new Set(lines.flatMap((one) => one.points.map(([at]) => at)))].sort((a, b) => a - b);
  let at = times.length - 1;
  const tell = (index) => {
    at = Math.max(0, Math.min(times.length - 1, index));
    mark.attr("x1", x(times[at] * 1000)).attr("x2", x(times[at] * 1000)).style("display", null);
    const said = lines.map((one) => [one, one.points.find(([when]) => when === times[at])]).filter(([, found]) => found)
      .map(([one, found]) => `${lines.length > 1 ? `${nameOf(one.labels, many)} ` : ""}${words(found[1])}`);
    cursor.textContent = `${clock(times[at])}: ${said.join(", ")}`;
  };
  const hide = () => { mark.style("display", "none"); cursor.textContent = ""; };
  const move = (event) => {
    const box = svg.node().getBoundingClientRect();
    const when = x.invert((event.clientX - box.left) * width / box.width) / 1000;
    tell(d3.bisect(times, when) - 1);
  };
  const node = svg.node();
  node.onpointermove = move;
  node.onpointerleave = hide;
  node.onblur = hide;
  node.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step !== undefined) { event.preventDefault(); tell(at + step); }
  };
}

function runsOf(points) {
  const runs = [];
  let last = -Infinity;
  for (const point of points) {
    if (point[0] - last > 600) runs.push([]);
    runs[runs.length - 1].push(point);
    last = point[0];
  }
  // A lone measurement is seen too.
  return runs.map((run) => (run.length > 1 ? run : [run[0], [run[0][0] + 150, run[0][1]]]));
}

new ResizeObserver(() => {
  if (kept !== null) for (const one of document.querySelectorAll("#curves figure")) one.draw();
}).observe(document.getElementById("curves"));
