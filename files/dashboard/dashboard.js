// Ask Prometheus every 30 s while somebody looks, and show what it says, or that it says nothing.
import { CURVES, hostsOf, lastDay, lastMeasured, present, runbook } from "./data.js";
import { showAlerts, showFresh, showHosts, showStatus, showTables } from "./view.js";
import { lasting, tick } from "./words.js";

const EVERY = 30, CURVES_EVERY = 300, STALE = 180;
// `ahead`: how far this browser's clock is behind Prometheus', so that ages are true on both.
const about = { hosts: [], alerts: [], book: {}, measured: 0, ahead: 0, wrong: "", asked: 0, chosen: null };
let timer = null, curvesAt = 0, asking = false;

const now = () => Date.now() / 1000 + about.ahead;

function draw() {
  const shown = about.hosts.filter((one) => about.chosen === null || one.name === about.chosen);
  showStatus(statusOf(shown));
  showHosts(about.hosts, about.chosen);
  showAlerts(shown.flatMap((one) => one.alerts), about.book);
  showTables(shown);
  age();
}

function age() {
  showFresh({ ...about, now: now(), off: document.hidden });
  tick(now());
}

function statusOf(shown) {
  if (about.wrong) {
    const when = about.measured ? `What is below was so ${lasting(now() - about.measured)} ago.` : "Is the tunnel open?";
    return { level: "bad", headline: "Prometheus cannot be reached", findings: [{ level: "bad", text: when }] };
  }
  if (now() - about.measured > STALE) {
    const when = about.measured ? `Nothing was measured for ${lasting(now() - about.measured)}.` : "Nothing was measured yet.";
    return { level: "bad", headline: "The data is stale", findings: [{ level: "bad", text: when }] };
  }
  const many = shown.length > 1;
  const findings = shown.flatMap((host) => host.findings.map((one) => (
    { level: one.level, text: many ? `${host.name}: ${one.text}` : one.text })));
  findings.sort((a, b) => (a.level === "bad" ? 0 : 1) - (b.level === "bad" ? 0 : 1));
  const bad = findings.filter((one) => one.level === "bad").length;
  const level = bad ? "bad" : findings.length ? "warn" : "well";
  const headline = bad ? (bad === 1 ? "One thing is wrong" : `${bad} things are wrong`)
    : findings.length ? "It runs; look at this" : "All is well";
  return { level, headline, findings };
}

async function round() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  try {
    const found = await present();
    about.ahead = found.now - Date.now() / 1000;
    about.wrong = "";
    const hosts = hostsOf(found);
    const measured = Math.max(0, ...hosts.map((one) => one.measured));
    about.measured = measured || await lastMeasured();
    // Tables of what was last known say more than none.
    if (measured) about.hosts = hosts;
    if (about.chosen !== null && !about.hosts.some((one) => one.name === about.chosen)) about.chosen = null;
    if (hosts.some((one) => one.alerts.length) && Object.keys(about.book).length === 0) about.book = await runbook();
  } catch (error) {
    about.wrong = error.name === "TimeoutError" ? "Prometheus does not answer" : error instanceof TypeError
      ? "Prometheus cannot be reached" : error.message;
  }
  about.asked += 1;
  asking = false;
  draw();
  timer = setTimeout(round, EVERY * 1000);
  if (!about.wrong && about.hosts.length && now() - curvesAt > CURVES_EVERY) await curves();
  document.body.dataset.rounds = about.asked;
}

// The curves come last, with what draws them: a slow tunnel has shown the rest by then.
async function curves() {
  const host = about.chosen ?? (about.hosts.length > 4 ? about.hosts[0].name : null);
  const series = about.hosts.length ? await lastDay(host, now()).catch(() => null) : null;
  if (series === null) return;
  curvesAt = now();
  const { showCurves } = await import("./curves.js");
  await showCurves(CURVES, series, { host: about.hosts.length === 1 ? about.hosts[0].name : host, end: now() });
}

document.getElementById("host").addEventListener("change", (event) => {
  about.chosen = event.target.value || null;
  curvesAt = 0;
  draw();
  curves();
});
document.addEventListener("visibilitychange", () => (document.hidden ? age() : round()));
setInterval(age, 5000);
round();
