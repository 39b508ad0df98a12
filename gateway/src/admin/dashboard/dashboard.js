"use strict";

// How often the page looks again, milliseconds.
const REFRESH_MS = 2000;
const LIMIT = 1000;
const STATE_CLASS = { Connected: "good", Running: "good", Succeeded: "good", Lost: "bad", Failed: "bad", Blocked: "bad", Backoff: "bad" };

// Everything shown goes through textContent: what devices write is text, whatever it looks like.
function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text === undefined || text === null ? "" : String(text);
  if (className) made.className = className;
  return made;
}

function ago(time) {
  if (!time) return "";
  const seconds = Math.round((Date.now() - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 0) return "in " + span(-seconds);
  return span(seconds) + " ago";
}

function span(seconds) {
  if (seconds < 120) return seconds + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " d";
}

function table(id, columns, items) {
  const head = document.createElement("tr");
  for (const column of columns) head.append(element("th", column.title));
  const rows = items.map((item) => {
    const row = document.createElement("tr");
    for (const column of columns) {
      const value = column.value(item);
      row.append(element("td", value, column.state ? STATE_CLASS[value] || "quiet" : ""));
    }
    return row;
  });
  if (!rows.length) {
    const row = document.createElement("tr");
    row.append(element("td", "none yet", "quiet"));
    rows.push(row);
  }
  document.getElementById(id).replaceChildren(head, ...rows);
}

const condition = (object, type) => {
  const found = ((object.status || {}).conditions || []).find((one) => one.type === type);
  return found ? found.status : "";
};

const DEVICE_COLUMNS = [
  { title: "Name", value: (d) => d.metadata.name },
  { title: "State", value: (d) => d.status.state || "Unknown", state: true },
  { title: "Last report", value: (d) => ago(d.status.lastHeartbeatTime) },
  { title: "Next contact", value: (d) => ago(d.status.nextContactTime) },
  { title: "Queue", value: (d) => (d.status.queue ? d.status.queue.pending : "") },
  { title: "Dropped", value: (d) => (d.status.queue ? d.status.queue.dropped : "") },
  { title: "Skew ms", value: (d) => d.status.clockSkewMs },
  { title: "Lives", value: (d) => (d.status.instances || []).length },
  { title: "Agent", value: (d) => d.status.agentVersion },
];

const PROCESS_COLUMNS = [
  { title: "Process", value: (p) => p.metadata.namespace + "/" + p.metadata.name },
  { title: "Device", value: (p) => ((p.spec || {}).deviceRef || {}).name },
  { title: "State", value: (p) => p.status.state || "", state: true },
  { title: "Ready", value: (p) => condition(p, "Ready") },
  { title: "Agent connected", value: (p) => condition(p, "AgentConnected") },
  { title: "Restarts", value: (p) => p.status.restarts },
  { title: "Observed", value: (p) => ago(p.status.lastObservedTime) },
  { title: "Reason", value: (p) => p.status.reason },
  { title: "Message", value: (p) => (p.status.message || "").slice(0, 120) },
];

// Sums of the samples of a metric, by the label named.
function counters(text) {
  const shown = [];
  const sums = new Map();
  for (const line of text.split("\n")) {
    const found = /^apollo_gateway_(connections|(?:observations|requests|status_writes|handshakes)_total)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found) continue;
    const label = /(?:verdict|code|result|kind)="([^"]*)"/.exec((found[2] || "").split(",").pop());
    const name = found[1].replace("_total", "").replace("_", " ") + (label ? " " + label[1] : "");
    sums.set(name, (sums.get(name) || 0) + Number(found[3]));
  }
  for (const [name, value] of [...sums].sort()) {
    const pair = document.createElement("div");
    pair.append(element("dt", name), element("dd", value));
    shown.push(pair);
  }
  document.getElementById("counters").replaceChildren(...shown);
}

async function refresh() {
  const ready = document.getElementById("ready");
  try {
    const list = async (kind) => (await (await fetch(`/api/v1/${kind}?limit=${LIMIT}`)).json()).items;
    const [health, metrics, devices, processes] = await Promise.all([
      fetch("/readyz"),
      fetch("/metrics").then((response) => response.text()),
      list("devices"),
      list("deviceprocesses"),
    ]);
    ready.textContent = (await health.text()).trim();
    ready.className = health.ok ? "good" : "bad";
    counters(metrics);
    table("devices", DEVICE_COLUMNS, devices);
    table("processes", PROCESS_COLUMNS, processes);
    document.getElementById("updated").textContent = "updated " + new Date().toLocaleTimeString();
  } catch (error) {
    ready.textContent = "the gateway does not answer";
    ready.className = "bad";
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
