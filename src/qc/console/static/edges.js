// Several edges at once, straight from the broker over WebSocket: state, last verdict, alarms, rates. Reads only.

import mqtt from "./vendor/mqtt-5.16.0.js";
import { html, render, useEffect, useState } from "./vendor/htm-preact-3.1.1.js";
import { loadSession, session } from "./store.js";
import { count, Empty, Icon, percent, score, Sign, t, time } from "./ui.js";

const ROOT = "qc/v1";
const TOPICS = ["status", "state/+", "evt/inspection", "evt/alarm"].map((leaf) => `${ROOT}/+/+/+/+/${leaf}`);
const KEEP = 12;
const PAINT_MS = 200; // hundreds of edges may talk at once; the page is painted five times a second

const edges = new Map();
let dirty = true;

function hear(topic, payload) {
  const levels = topic.split("/");
  if (levels.length < 7) return;
  const name = levels.slice(2, 6).join("/");
  const leaf = levels.slice(6).join("/");
  const known = edges.get(name) ?? { name, strip: [], state: {} };
  edges.set(name, known);
  try {
    const body = JSON.parse(new TextDecoder().decode(payload));
    if (leaf === "status") {
      known.status = body;
      known.heard = body.reason === "connection_lost" ? known.heard : Date.now();
      if (!known.heard) known.heard = Date.parse(body.ts);
    } else if (leaf.startsWith("state/")) {
      known.state[leaf.slice(6)] = body;
    } else if (leaf === "evt/inspection") {
      if (!known.strip.some((part) => part.event_id === body.event_id)) {
        known.strip = [...known.strip, body].sort((a, b) => a.seq - b.seq).slice(-KEEP);
      }
      known.heard = Date.now();
    }
  } catch {
    known.unreadable = (known.unreadable ?? 0) + 1;
  }
  dirty = true;
}

function useEdges() {
  const [, paint] = useState(0);
  useEffect(() => {
    let last = 0;
    const timer = setInterval(() => {
      if (dirty || Date.now() - last > 1000) {
        dirty = false;
        last = Date.now();
        paint((n) => n + 1);
      }
    }, PAINT_MS);
    return () => clearInterval(timer);
  }, []);
  return [...edges.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function useBroker(url, login) {
  const [link, setLink] = useState({ state: "connecting", message: "" });
  useEffect(() => {
    if (!url) return undefined;
    const client = mqtt.connect(url, {
      protocolVersion: 5,
      clientId: `qc-edges-${Math.random().toString(16).slice(2, 10)}`,
      username: login.user || undefined,
      password: login.password || undefined,
      reconnectPeriod: 2000,
      connectTimeout: 5000,
      clean: true,
      timerVariant: "native", // the other one wants a worker from a blob, which the policy forbids
    });
    client.on("connect", () => {
      client.subscribe(TOPICS, { qos: 1 });
      setLink({ state: "connected", message: "" });
    });
    client.on("message", hear);
    client.on("close", () => setLink((old) => ({ state: "lost", message: old.message })));
    client.on("error", (error) => setLink({ state: "lost", message: error.message }));
    return () => client.end(true);
  }, [url, login.user, login.password]);
  return link;
}

function stateOf(edge, linked) {
  if (edge.status?.state === "offline") return "offline";
  const patience = 3 * (edge.status?.heartbeat_s ?? 10) * 1000;
  return !linked || !edge.heard || Date.now() - edge.heard > patience ? "stale" : "online";
}

function Edge({ edge, linked }) {
  const state = stateOf(edge, linked);
  const last = edge.strip[edge.strip.length - 1];
  const counters = edge.state.counters;
  const alarms = edge.state.alarms;
  const verdict = state === "online" && last ? last.verdict : "STALE";
  const css = { OK: "ok", NG: "ng", REVIEW: "review", NOT_INSPECTED: "ni", STALE: "stale" }[verdict];
  const kpi = edge.state.kpi?.metrics ?? {};
  const rate = (name) => (kpi[name]?.estimate === undefined || kpi[name]?.estimate === null ? null : `${percent(kpi[name].estimate)} (${percent(kpi[name].low, 0)}–${percent(kpi[name].high, 0)})`);
  return html`<section class=${`card edge ${state === "online" ? "" : "old"}`} data-edge=${edge.name} data-state=${state}>
    <div class="row"><strong>${edge.name}</strong><span class="space"></span>
      <span class=${`pill state-${state === "online" ? (edge.state.line?.state ?? "running") : "stale"}`}><span class="dot"></span>${t(`edges.${state}`)}</span></div>
    <div class=${`big ${css}`} data-verdict=${verdict}><${Sign} verdict=${verdict} size=${52} /><div><div class=${`word ${["NOT_INSPECTED", "STALE"].includes(verdict) ? "long" : ""}`}>${t(`verdict.${verdict}`)}</div>
      <div class="why">${last ? `${last.part_id} · ${score(last.score)} · ${time(last.ts)}` : t("edges.last")}</div></div></div>
    <div class="row">${edge.strip.map((part) => html`<${Sign} key=${part.event_id} verdict=${part.verdict} size=${20} />`)}</div>
    ${counters && html`<div class="muted number">${t("edges.counts", { ok: count(counters.ok), ng: count(counters.ng), review: count(counters.review), ni: count(counters.not_inspected) })}</div>
      <div class="row number"><strong>${counters.parts_per_s.toFixed(1)}</strong> ${t("edges.rate")} <span class="muted">${edge.state.recipe?.variant ?? ""} · ${edge.state.model?.model ?? ""}</span></div>`}
    ${rate("detection_rate") && html`<div class="number">${t("edges.dr")} ${rate("detection_rate")} · ${t("edges.fpr")} ${rate("false_positive_rate") ?? "–"}</div>`}
    ${alarms && (alarms.open > 0
      ? html`<div class="stack"><strong class="verdict review"><${Sign} verdict="REVIEW" size=${16} />${t("edges.alarms", { n: alarms.open })}</strong>${alarms.alarms.slice(0, 3).map((alarm) => html`<div class="muted">${alarm.message}</div>`)}</div>`
      : html`<div class="muted">${t("edges.no_alarms")}</div>`)}
  </section>`;
}

function Page({ url }) {
  const [login, setLogin] = useState({ user: "", password: "" });
  const link = useBroker(url, login);
  const known = useEdges();
  const submit = (event) => {
    event.preventDefault();
    setLogin(Object.fromEntries(new FormData(event.target)));
  };
  const says = { connecting: "edges.connecting", connected: "edges.connected", lost: "edges.lost" }[link.state];
  return html`<div class="body">
    <header class="top"><img src="/static/icon.svg" alt="" width="30" height="30" /><h1 class="where">${t("edges.title")}</h1>
      <span class=${`pill ${link.state === "connected" ? "state-running" : "state-stuck"}`} role="status"><span class="dot"></span>${t(says, { url, message: link.message || url })}</span>
      <span class="space"></span>
      <form class="row" onSubmit=${submit}><input name="user" aria-label=${t("edges.user")} placeholder=${t("edges.user")} autocomplete="off" /><input name="password" type="password" aria-label=${t("edges.password")} placeholder=${t("edges.password")} autocomplete="off" /><button>${t("edges.connect")}</button></form>
      <a class="who" href="/"><${Icon} name="live" size=${18} />${t("edges.back")}</a></header>
    <main class="edges-body">
      ${!url ? html`<${Empty} title=${t("edges.not_set")} icon="edges" />` : known.length === 0 ? html`<${Empty} title=${t("edges.none")} icon="edges">${t("edges.none_help", { root: ROOT })}</${Empty}>` : null}
      <div class="edges">${known.map((edge) => html`<${Edge} key=${edge.name} edge=${edge} linked=${link.state === "connected"} />`)}</div>
    </main></div>`;
}

loadSession().then(() => render(html`<${Page} url=${session.get().broker_websocket_url} />`, document.getElementById("app")));
