// What is known, put on the page: real tables, and text that is only ever text.
import { bytes, h, lasting, moment, number, percent, took } from "./words.js";

const drawn = new Map();

// Draw a part of the page anew only where what it shows is not what it showed.
function part(id, data, draw) {
  const place = document.getElementById(id);
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  const made = draw(data);
  place.hidden = made === null;
  place.replaceChildren(...(made === null ? [] : [made].flat()));
  for (const one of place.querySelectorAll("details")) one.open = open.has(one.dataset.key);
}

function table(title, heads, rows) {
  if (rows.length === 0) return null;
  return h("table", {},
    h("caption", {}, h("h2", {}, title)),
    h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, rows.map(([level, first, ...others]) => h("tr", { class: level },
      h("th", { scope: "row" }, soft(first)),
      others.map((one, at) => h("td", { "data-head": heads[at + 1], class: one ? null : "none" }, one ?? "–"))))));
}

// A long name may break after each part of it.
function soft(name) {
  return name.split(/(?<=[_/-])/).flatMap((piece, at) => (at === 0 ? [piece] : [h("wbr"), piece]));
}

function state(level, text) {
  return h("span", { class: `state ${level}` }, text);
}

function meter(share) {
  return h("meter", { min: 0, max: 1, low: 0.8, high: 0.9, optimum: 0, value: Math.min(1, share),
    "aria-hidden": "true" });
}

export function showStatus({ level, headline, findings }) {
  const place = document.getElementById("status");
  if (place.className !== level) place.className = level;
  const head = document.getElementById("headline");
  // What did not change is not read out again.
  if (head.textContent !== headline) head.textContent = headline;
  part("findings", findings, (all) => {
    const shown = all.slice(0, 6).map((one) => h("li", { class: one.level }, one.text));
    return all.length > 6 ? [...shown, h("li", {}, `and ${all.length - 6} more`)] : shown;
  });
  document.title = `${level === "well" ? "✓" : "●"} ${headline}`;
}

export function showHosts(hosts, chosen) {
  const select = document.getElementById("host");
  const names = hosts.map((one) => one.name).sort();
  part("host", [names, chosen], () => [
    h("option", { value: "" }, `all ${names.length}, the worst first`),
    ...names.map((one) => h("option", { value: one, selected: one === chosen }, one)),
  ]);
  document.getElementById("choose").hidden = names.length < 2;
  select.value = chosen ?? "";
  part("hosts", hosts.map(({ name, level, findings }) => ({ name, level, findings })), (all) => (all.length < 2 ? null
    : table("Hosts", ["Host", "State", "What"], all.map((one) => [one.level, one.name,
      state(one.level, { bad: "trouble", warn: "look at it", well: "well" }[one.level]),
      one.findings.map((it) => it.text).join("; ") || "–"]))));
}

export function showAlerts(alerts, book) {
  const order = (one) => (one.state === "firing" ? 0 : 2) + (one.labels.severity === "critical" ? 0 : 1);
  const all = [...alerts].sort((a, b) => order(a) - order(b) || a.activeAt.localeCompare(b.activeAt));
  part("alerts", [all.map(({ labels, annotations, state: now, activeAt }) => [labels, annotations, now, activeAt]), book],
    () => (all.length === 0 ? null : [h("h2", {}, "Alerts"), h("ul", { class: "alerts" }, all.map((one) => {
      const { alertname, severity } = one.labels, says = book[alertname];
      const level = one.state === "pending" ? "soon" : severity === "critical" ? "bad" : "warn";
      return h("li", { class: level },
        h("p", {}, state(level, one.state === "pending" ? "not yet" : severity || "firing"), " ",
          h("strong", {}, one.annotations.summary || alertname), " ",
          h("span", { class: "faint" }, `${alertname}, since `, moment(Date.parse(one.activeAt) / 1000),
            one.state === "pending" ? "; it fires if this stays" : "")),
        says ? h("details", { "data-key": JSON.stringify(one.labels) },
          h("summary", {}, says.first), h("pre", {}, says.text)) : null);
    }))]));
}

export function showTables(hosts) {
  const many = hosts.length > 1;
  const rows = (key) => hosts.flatMap((host) => host[key].map((one) => ({ host: host.name, ...one })));
  const on = (one, text) => (many ? `${text} · ${one.host}` : text);
  const apps = new Set(rows("services").map((one) => one.app));
  const title = apps.size === 1 ? `Services of ${[...apps][0]}` : "Services";
  part("services", rows("services"), (all) => table(title, ["Service", "State", "CPU", "Memory", "Restarts"],
    all.map((one) => [one.runs ? "well" : "bad", on(one, apps.size === 1 ? one.service : `${one.app} ${one.service}`),
      state(one.runs ? "well" : one.held ? "warn" : "bad", one.runs ? "runs" : one.held ? "held" : "down"),
      one.cpu === undefined ? null : percent(one.cpu), one.memory === undefined ? null : bytes(one.memory),
      one.restarts === undefined ? null : one.restarts === 0 ? h("span", { class: "zero" }, "0") : number(one.restarts)])));
  part("gates", rows("gates"), (all) => table("Gates", ["App", "State", "Took", "Recovery", "What is usual"],
    all.map((one) => [one.passed ? "well" : "bad", on(one, one.app),
      one.passed ? state("well", `all ${one.count ?? ""} pass`) : state("bad", `fail: ${one.failed.join(", ")}`),
      one.seconds === undefined ? null : took(one.seconds),
      one.recovery === undefined ? null : took(one.recovery),
      one.learned === undefined ? null : one.learned < 1 ? `learnt to ${percent(one.learned)}` : "known"])));
  part("machine", rows("machine"), (all) => table("Machine", ["What", "Used", "Of"],
    all.map((one) => [one.used > 0.9 ? "bad" : one.used > 0.8 ? "warn" : "well", on(one, one.what),
      h("span", { class: "share" }, meter(one.used), " ", percent(one.used)),
      one.size !== undefined ? bytes(one.size) : one.load !== undefined ? `load ${one.load.toFixed(2)}` : null])));
  part("databases", rows("databases"), (all) => table("Databases",
    ["Database", "Size", "Connections", "Rows written, an hour"],
    all.map((one) => ["", on(one, one.datname), bytes(one.size),
      one.connections === undefined ? null : `${number(one.connections)}${one.limit ? ` of ${one.limit}` : ""}`,
      one.writes === undefined ? null : number(one.writes)])));
  part("backups", rows("backups"), (all) => table("Backups", ["App", "Newest", "Size", "Last proof"],
    all.map((one) => [one.ok === false || one.proved === false ? "bad" : "well", on(one, one.app),
      one.ok === undefined ? state("warn", "none yet")
        : [moment(one.made), one.ok ? null : [" ", state("bad", "the last one failed")]].flat(),
      one.size === undefined ? null : bytes(one.size),
      one.proved === undefined ? "none yet"
        : [state(one.proved ? "well" : "bad", one.proved ? "proven" : "failed"), " ", moment(one.proven)]])));
  const good = new Set(["confirmed", "rolled back", "unchanged"]);
  const newest = rows("runs").sort((a, b) => b.ended - a.ended).slice(0, 8);
  part("runs", newest, (all) => table("Last runs", ["Run", "How it ended", "When", "Releases"],
    all.map((one) => [good.has(one.outcome) ? "well" : "bad", on(one, one.purpose),
      state(good.has(one.outcome) ? "well" : "bad", one.outcome), moment(one.ended), one.releases || null])));
}

export function showFresh({ asked, now, measured, wrong, off }) {
  const place = document.getElementById("fresh");
  const old = measured ? now - measured : null;
  const words = wrong ? `${wrong}; ${measured ? `last data ${lasting(old)} ago` : "there is no data yet"}`
    : old === null ? "Prometheus has no data of the last days"
      : `Last data ${lasting(old)} ago${off ? "; not asked while this tab is hidden" : ", asked every 30 s"}`;
  const level = wrong || old === null || old > 180 ? "bad" : "";
  if (place.className !== level) place.className = level;
  if (place.textContent !== words) place.textContent = words;
  document.body.classList.toggle("stale", level === "bad" && asked > 0);
}
