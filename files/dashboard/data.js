// What is asked of Prometheus, and what follows from its answers. No word of it is put on the page here.
import { ago, lasting } from "./words.js";

const NAMES = [
  "up", "pg_up", "pg_database_size_bytes", "pg_stat_database_numbackends", "pg_settings_max_connections",
  "hostwright:cpu_used:ratio", "hostwright:database_writes:per_hour",
  "node_load1", "node_memory_(MemAvailable|MemTotal|SwapFree|SwapTotal)_bytes", "node_filesystem_(avail|size)_bytes",
  "hostwright_(service|gate|backup|run|release|recovery)_.*", "hostwright_(gates|gates_passed|gates_seconds|held)",
  "hostwright_health_(run|every)_.*", "hostwright_baseline_learned_ratio",
];
// All in one question: a slow tunnel is asked seldom. `at` marks when each target was last measured.
const NOW = `{__name__=~"${NAMES.join("|")}"} or label_replace(timestamp(up), "at", "measured", "", "")`;
const LAST = "max by (host) (max_over_time(timestamp(up)[2d:5m]))";
const WAIT = 20000;

async function ask(path, given) {
  const address = `../api/v1/${path}${given ? `?${new URLSearchParams(given)}` : ""}`;
  const answer = await fetch(address, { signal: AbortSignal.timeout(WAIT), cache: "no-store" });
  if (!answer.ok) throw new Error(`Prometheus answers ${answer.status}`);
  const said = await answer.json();
  if (said.status !== "success") throw new Error(said.error || "Prometheus gives no data");
  return said.data;
}

export async function present() {
  const [found, alerts] = await Promise.all([ask("query", { query: NOW }), ask("alerts")]);
  const samples = found.result.map((one) => ({
    name: one.metric.__name__ || one.metric.at, labels: one.metric, value: Number(one.value[1]),
  }));
  const now = found.result.length ? found.result[0].value[0] : Date.now() / 1000;
  return { now, samples, alerts: alerts.alerts };
}

// When anything was last measured, where nothing is known of the last minutes.
export async function lastMeasured() {
  const found = await ask("query", { query: LAST });
  return Math.max(0, ...found.result.map((one) => Number(one.value[1])));
}

export async function runbook() {
  const answer = await fetch("runbook.json", { signal: AbortSignal.timeout(WAIT), cache: "no-cache" });
  return answer.ok ? answer.json() : {};
}

export const CURVES = [
  { key: "cpu", title: "CPU used", unit: "percent", query: "hostwright:cpu_used:ratio{H}" },
  { key: "memory", title: "Memory used", unit: "percent",
    query: "1 - node_memory_MemAvailable_bytes{H} / node_memory_MemTotal_bytes{H}" },
  { key: "disk", title: "Disk used", unit: "percent",
    query: "1 - max by (host, mountpoint) (node_filesystem_avail_bytes{H} / node_filesystem_size_bytes{H})" },
  { key: "logs", title: "Logs written, an hour", unit: "bytes",
    query: "sum by (host, app) (increase(hostwright_log_written_bytes_total{H}[1h]))" },
  { key: "errors", title: "Error lines, an hour", unit: "number",
    query: "sum by (host, app) (increase(hostwright_error_lines_total{H}[1h]))" },
  { key: "size", title: "Database size", unit: "bytes",
    query: "max by (host, datname) (pg_database_size_bytes{datname!~'template.*|postgres',H})" },
  { key: "writes", title: "Rows written, an hour", unit: "number",
    query: "sum by (host, datname) (hostwright:database_writes:per_hour{H})" },
  { key: "connections", title: "Database connections", unit: "number",
    query: "sum by (host) (pg_stat_database_numbackends{H})" },
  { key: "gates", title: "Gates took", unit: "took", query: "max by (host, app) (hostwright_gates_seconds{H})" },
  { key: "recovery", title: "Recovery took", unit: "took",
    query: "max by (host, app) (hostwright_recovery_seconds{H})" },
];

// The last day, `host` null for all, in one question; each series as {curve, labels, points}.
export async function lastDay(host, now) {
  const matcher = host === null ? 'host!=""' : `host=${JSON.stringify(host)}`;
  const named = (one) => `label_replace(${one.query.replace(/\bH(?=})/g, () => matcher)}, "curve", "${one.key}", "", "")`;
  const query = CURVES.map(named).join(" or ");
  const end = Math.floor(now / 60) * 60;
  const found = await ask("query_range", { query, start: end - 86400, end, step: 300 });
  return found.result.map((one) => ({
    curve: one.metric.curve, labels: one.metric, points: one.values.map(([at, value]) => [at, Number(value)]),
  }));
}

const SEEN = new Set(["ServiceDown", "GatesFailing", "ExporterDown", "HealthStale", "DatabaseDown", "BackupFailed",
  "BackupTooOld"]);
const RANK = { bad: 2, warn: 1, well: 0 };

// What is known of each host, the worst first.
export function hostsOf({ now, samples, alerts }) {
  const names = new Set([...samples, ...alerts].map((one) => one.labels.host).filter(Boolean));
  const hosts = [...names].map((name) => hostOf(name, now,
    samples.filter((one) => one.labels.host === name), alerts.filter((one) => one.labels.host === name)));
  return hosts.sort((a, b) => RANK[b.level] - RANK[a.level] || b.findings.length - a.findings.length
    || a.name.localeCompare(b.name));
}

function hostOf(name, now, samples, alerts) {
  const all = (metric) => samples.filter((one) => one.name === metric);
  const one = (metric, same = {}) => samples.find((sample) => sample.name === metric
    && Object.entries(same).every(([key, value]) => sample.labels[key] === value))?.value;
  const host = {
    name, alerts, services: services(all, one), gates: gates(all, one), backups: backups(all, one),
    machine: machine(all, one), databases: databases(all, one), runs: runs(all), findings: [], level: "well",
    releases: all("hostwright_release_info").map(({ labels }) => ({ app: labels.app, release: labels.release })),
    measured: Math.max(0, ...all("measured").map((sample) => sample.value)),
  };
  judge(host, now, all, one);
  return host;
}

function judge(host, now, all, one) {
  const say = (level, text) => {
    host.findings.push({ level, text });
    if (RANK[level] > RANK[host.level]) host.level = level;
  };
  for (const down of all("up").filter((sample) => sample.value === 0)) say("bad", `${down.labels.job} cannot be asked`);
  const seen = one("hostwright_health_run_timestamp_seconds");
  const every = one("hostwright_health_every_seconds") || 60;
  if (seen === undefined && host.measured) say("bad", "nothing is known of its apps");
  else if (now - seen > 4 * every) say("bad", `its apps were last looked at ${ago(now - seen)}`);
  if (host.measured && now - host.measured > 180) say("bad", `last measured ${ago(now - host.measured)}`);
  for (const it of host.services) if (!it.runs && !it.held) say("bad", `${it.service} of ${it.app} does not run`);
  for (const it of host.gates) {
    if (!it.passed && !it.held) say("bad", `gates of ${it.app} fail: ${it.failed.join(", ")}`);
    if (it.held) say("warn", `${it.app} is held: a run or maintenance is at work`);
  }
  for (const it of host.backups) {
    if (it.ok === false) say("bad", `the last backup of ${it.app} failed`);
    if (it.proved === false) say("bad", `the last proof of a backup of ${it.app} failed`);
    if (now - it.made > 26 * 3600) say("bad", `the newest backup of ${it.app} is ${lasting(now - it.made)} old`);
  }
  if (one("pg_up") === 0) say("bad", "PostgreSQL does not answer");
  if (one("hostwright_run_last_ok") === 0) say("warn", "the last run did not get through");
  for (const alert of host.alerts.filter((it) => it.state === "firing")) {
    // What was seen right now is said already.
    if (SEEN.has(alert.labels.alertname) && host.level === "bad") continue;
    say(alert.labels.severity === "critical" ? "bad" : "warn", alert.annotations.summary || alert.labels.alertname);
  }
}

function services(all, one) {
  return all("hostwright_service_running").map(({ labels: { app, service }, value }) => ({
    app, service, runs: value === 1, held: one("hostwright_held", { app }) === 1,
    restarts: one("hostwright_service_restarts_total", { app, service }),
    memory: one("hostwright_service_memory_bytes", { app, service }),
    cpu: one("hostwright_service_cpu_ratio", { app, service }),
  })).sort((a, b) => a.runs - b.runs || a.app.localeCompare(b.app) || a.service.localeCompare(b.service));
}

function gates(all, one) {
  return all("hostwright_gates_passed").map(({ labels: { app }, value }) => ({
    app, passed: value === 1, held: one("hostwright_held", { app }) === 1,
    count: one("hostwright_gates", { app }), seconds: one("hostwright_gates_seconds", { app }),
    failed: all("hostwright_gate_failed").filter((it) => it.labels.app === app).map((it) => it.labels.gate),
    recovery: one("hostwright_recovery_seconds", { app }), learned: one("hostwright_baseline_learned_ratio", { app }),
  })).sort((a, b) => a.passed - b.passed || a.app.localeCompare(b.app));
}

function backups(all, one) {
  const truth = (value) => (value === undefined ? undefined : value === 1);
  return all("hostwright_backup_last_success_timestamp_seconds").map(({ labels: { app }, value }) => ({
    app, made: value, ok: truth(one("hostwright_backup_last_attempt_ok", { app })),
    size: one("hostwright_backup_bytes", { app }),
    proven: one("hostwright_backup_last_proof_timestamp_seconds", { app }),
    proved: truth(one("hostwright_backup_last_proof_ok", { app })),
  }));
}

function machine(all, one) {
  const rows = [], add = (what, used, words) => { if (Number.isFinite(used)) rows.push({ what, used, ...words }); };
  const total = one("node_memory_MemTotal_bytes"), swap = one("node_memory_SwapTotal_bytes");
  add("CPU", one("hostwright:cpu_used:ratio"), { load: one("node_load1") });
  add("Memory", 1 - one("node_memory_MemAvailable_bytes") / total, { size: total });
  if (swap > 0) add("Swap", 1 - one("node_memory_SwapFree_bytes") / swap, { size: swap });
  for (const { labels: { mountpoint, device }, value } of all("node_filesystem_size_bytes")) {
    add(`Disk ${mountpoint}`, 1 - one("node_filesystem_avail_bytes", { mountpoint, device }) / value, { size: value });
  }
  return rows;
}

function databases(all, one) {
  const limit = one("pg_settings_max_connections");
  return all("pg_database_size_bytes").filter((it) => !/^template\d$|^postgres$/.test(it.labels.datname))
    .map(({ labels: { datname }, value }) => ({
      datname, size: value, limit, connections: one("pg_stat_database_numbackends", { datname }),
      writes: one("hostwright:database_writes:per_hour", { datname }),
    }));
}

function runs(all) {
  return all("hostwright_run_ended_timestamp_seconds")
    .map(({ labels: { run, outcome, purpose, releases }, value }) => ({ run, outcome, purpose, releases, ended: value }))
    .sort((a, b) => b.ended - a.ended);
}
