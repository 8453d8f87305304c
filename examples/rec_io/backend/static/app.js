"use strict";
const EVERY_MS = 2000;
const SILENT_S = 30;
const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);
const age = (s) => s == null ? "never" : s < 60 ? `${Math.round(s)} s` : s < 7200 ? `${Math.round(s / 60)} min`
  : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
const ago = (s) => s == null ? "never" : `${age(s)} ago`;
const size = (b) => b == null ? "–" : b < 1024 ? `${b} B` : b < 1048576 ? `${Math.round(b / 1024)} KB` : `${(b / 1048576).toFixed(1)} MB`;
const count = (n) => n == null ? "–" : Number(n).toLocaleString("en");
const money = (cents) => cents == null ? "–" : `${cents < 0 ? "−" : ""}$${(Math.abs(cents) / 100).toLocaleString("en", {minimumFractionDigits: 2})}`;
const cents = (n) => n == null ? "–" : `${n}¢`;

// Text only, never markup: what is shown came from a database.
function cell(text, kind = "") {
  const td = document.createElement("td");
  td.textContent = text;
  td.className = kind;
  return td;
}

function fill(id, rows, empty) {
  const made = rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells);
    return tr;
  });
  if (!made.length) {
    const tr = document.createElement("tr");
    const td = cell(empty, "soft");
    td.colSpan = 9;
    tr.append(td);
    made.push(tr);
  }
  at(id).replaceChildren(...made);
}

function price({symbol, prices}) {
  const low = Math.min(...prices), high = Math.max(...prices), span = high - low || 1;
  const points = prices.map((p, i) => `${i / Math.max(1, prices.length - 1) * 100},${38 - (p - low) / span * 36}`);
  const box = document.createElement("div"), label = document.createElement("span"), now = document.createElement("strong");
  label.textContent = symbol;
  now.textContent = prices[prices.length - 1].toLocaleString("en", {minimumFractionDigits: 2});
  const svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  box.append(label, now, svg);
  return box;
}

function show(data) {
  const heard = data.services.filter((s) => s.age != null && s.age <= SILENT_S).length;
  const all = heard === data.services.length;
  say(all ? "all services heard" : `${data.services.length - heard} silent`, all ? "good" : "bad");
  at("f-services").textContent = `${heard} of ${data.services.length}`;
  const account = data.account || {};
  at("f-balance").textContent = money(account.balance_cents);
  at("f-open").textContent = count(account.open_trades);
  at("f-closed").textContent = count(account.closed_trades);
  at("f-logs").textContent = size(data.log_bytes);
  at("version").textContent = `Version ${data.version}, ${account.account_mode || "no"} account.`;
  at("prices").replaceChildren(...data.prices.map(price));
  fill("services", data.services.map((s) => [
    cell(s.service, s.age != null && s.age <= SILENT_S ? "good" : "bad"),
    cell(ago(s.age), "n"), cell(s.uptime == null ? "–" : age(s.uptime), "n opt"), cell(s.detail || "", "opt soft"),
  ]), "none");
  fill("trades", data.trades.map((t) => [
    cell(t.id, "n"), cell(t.ticker), cell(t.side), cell(t.quantity, "n opt"), cell(t.status, t.status === "closed" ? "soft" : ""),
    cell(cents(t.limit_cents), "n opt"), cell(cents(t.fill_cents), "n opt"), cell(cents(t.close_cents), "n opt"), cell(money(t.pnl_cents), "n"),
  ]), "no trades yet");
  fill("files", data.files.map((f) => [cell(f.name), cell(ago(f.age), "n"), cell(size(f.bytes), "n opt")]), "no files yet");
  fill("tables", data.tables.map((t) => [cell(t.table), cell(count(t.rows), "n"), cell(size(t.bytes), "n opt")]), "no tables yet");
}

function say(text, kind) {
  at("state").textContent = text;
  at("state").className = `state ${kind}`;
}

async function refresh() {
  try {
    const answer = await fetch("/api/overview", {signal: AbortSignal.timeout(5000)});
    if (answer.ok) show(await answer.json());
    else say("database is away", "bad");
  } catch {
    say("REC.IO does not answer", "bad");
  }
  setTimeout(refresh, document.hidden ? EVERY_MS * 5 : EVERY_MS);
}
refresh();
