// The page that an operator glances at: the last part large, the strip, the counters, the health of everything around.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.js";
import { parts, stale, status, useSignal } from "../store.js";
import { Card, count, Empty, Facts, Gauge, Icon, ms, percent, Picture, score, seconds, Sign, t, time, useKeys } from "../ui.js";

const FEW_MS = 200; // shorter than this, nobody sees a picture

function remembered(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`qc-${key}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

function useRemembered(key, fallback) {
  const [value, setValue] = useState(remembered(key, fallback));
  return [
    value,
    (next) => {
      setValue(next);
      try {
        localStorage.setItem(`qc-${key}`, JSON.stringify(next));
      } catch {
        // private browsing: remembered until the page closes
      }
    },
  ];
}

const ready = (source) =>
  new Promise((resolve) => {
    const image = new Image();
    image.onload = () => image.decode().then(resolve, resolve);
    image.onerror = resolve;
    image.src = source;
  });

// The newest part whose picture has arrived: verdict and picture always belong together. Slow networks skip parts.
function useShown(known, wanted, heat) {
  const [shown, setShown] = useState(null);
  const next = useRef(null);
  const busy = useRef(false);
  const withHeat = useRef(heat);
  withHeat.current = heat;
  const step = async () => {
    if (busy.current || !next.current) return;
    busy.current = true;
    const part = next.current;
    next.current = null;
    const began = performance.now();
    await Promise.all([part.image && ready(`${part.image}?size=screen`), withHeat.current && part.heatmap && ready(part.heatmap)]);
    setShown(part);
    requestAnimationFrame(() => requestAnimationFrame(() => measure(part)));
    setTimeout(() => {
      busy.current = false;
      step();
    }, Math.max(0, FEW_MS - (performance.now() - began)));
  };
  useEffect(() => {
    const candidate = known.findLast(wanted);
    if (candidate && candidate.event_id !== shown?.event_id) {
      next.current = candidate;
      step();
    }
  }, [known, wanted]);
  return shown;
}

const LATENCIES = (window.qcLatencies = []);
const measured = new Set();
const opened = Date.now();
function measure(part) {
  const decided = Date.parse(part.decided_at);
  if (decided < opened || measured.has(part.event_id)) return;
  measured.add(part.event_id);
  LATENCIES.push(Date.now() - decided);
  if (LATENCIES.length > 500) LATENCIES.shift();
}

const every = () => true;
const rejects = (part) => part.verdict !== "OK";

export function Live() {
  const known = useSignal(parts);
  const now = useSignal(status);
  const old = useSignal(stale);
  const [heat, setHeat] = useRemembered("heat", 0.7);
  const [heatOn, setHeatOn] = useRemembered("heat-on", true);
  const [only, setOnly] = useRemembered("follow", "all");
  const [pinned, setPinned] = useState(null);
  const followed = useShown(known, only === "rejects" ? rejects : every, heatOn);
  const part = pinned ?? followed;
  const dead = old || (now && ["stopped", "stuck", "not_storing"].includes(now.state));
  useKeys({ h: () => setHeatOn(!heatOn), Escape: () => setPinned(null) });
  if (!part) return html`<${Empty} title=${t("live.waiting")}>${t("live.waiting_help")}</${Empty}>`;
  return html`<div class="live">
    <section class="stage card" aria-label=${t("live.last_part")}>
      <div class="stage-picture"><${Picture} part=${part} heat=${heatOn ? heat : 0} boxes=${heatOn} /></div>
      <div class="stage-tools">
        <button aria-pressed=${heatOn} onClick=${() => setHeatOn(!heatOn)}><${Icon} name="heat" size=${18} />${t("live.heat")}</button>
        <input type="range" min="0.1" max="1" step="0.05" value=${heat} disabled=${!heatOn} aria-label=${t("live.heat_opacity")}
          onInput=${(event) => setHeat(Number(event.target.value))} />
        <span class="space"></span>
        ${pinned
          ? html`<button class="primary" onClick=${() => setPinned(null)}><${Icon} name="play" size=${16} />${t("live.pinned")}</button>`
          : html`<label class="row">${t("live.follow")}
              <select value=${only} onChange=${(event) => setOnly(event.target.value)}>
                <option value="all">${t("live.follow_all")}</option><option value="rejects">${t("live.follow_rejects")}</option>
              </select></label>`}
      </div>
    </section>
    <div class="side">
      <${Big} part=${part} dead=${dead} />
      <${Card} class="tight">
        <div class="score-line"><span class="muted">${t("live.score")}</span><strong class="number">${score(part.score)}</strong></div>
        <${Gauge} value=${part.score} reviewAt=${part.review_at} rejectAt=${part.reject_at} />
        <${Facts} css="pairs" rows=${[
          [t("live.part"), html`<a href=${`#/browse/${part.event_id}`}>${part.part_id}</a>`],
          [t("live.variant"), part.variant],
          [t("live.model"), `${part.model} · ${part.model_version.slice(0, 8)}`],
          [t("live.camera"), part.camera],
          [t("live.decided"), time(part.decided_at)],
          [t("live.took"), ms(part.total_ms)],
          part.challenge_id && [t("live.challenge"), part.challenge_id],
        ]} />
      </${Card}>
      ${now && html`<${Counters} now=${now} />`}
    </div>
    <${Strip} known=${known} shown=${part} onPick=${setPinned} />
    ${now && html`<${Health} now=${now} />`}
  </div>`;
}

function Big({ part, dead }) {
  if (dead)
    return html`<div class="big stale" role="status" data-verdict="STALE"><${Sign} verdict="STALE" size=${88} />
      <div><div class="word">${t("verdict.STALE")}</div><div class="why">${t("live.last_was", { verdict: t(`verdict.${part.verdict}`), time: time(part.decided_at) })}</div></div></div>`;
  const css = { OK: "ok", NG: "ng", REVIEW: "review", NOT_INSPECTED: "ni" }[part.verdict];
  return html`<div class=${`big ${css}`} role="status" data-verdict=${part.verdict} data-part=${part.part_id}><${Sign} verdict=${part.verdict} size=${88} />
    <div><div class=${`word ${part.verdict === "NOT_INSPECTED" ? "long" : ""}`}>${t(`verdict.${part.verdict}`)}</div>
    <div class="why">${t(`reason.${part.reason}`)}${["camera_fault", "model_error"].includes(part.reason) && part.detail ? `: ${part.detail}` : ""}</div></div></div>`;
}

function Strip({ known, shown, onPick }) {
  return html`<section class="strip" aria-label=${t("live.strip", { n: known.length })}>
    ${known.map(
      (part) => html`<button key=${part.event_id} class=${`tile ${part.event_id === shown.event_id ? "current" : ""}`} onClick=${() => onPick(part)}
        aria-label=${`${part.part_id}: ${t(`verdict.${part.verdict}`)}, ${t("live.score")} ${part.score === null ? "–" : part.score.toFixed(2)}`} title=${part.part_id}>
        <${Sign} verdict=${part.verdict} size=${26} /><span>${part.score === null ? "–" : part.score.toFixed(2)}</span></button>`,
    )}
  </section>`;
}

function Counters({ now }) {
  const tiles = [
    ["OK", now.ok],
    ["NG", now.ng],
    ["REVIEW", now.review],
    ["NOT_INSPECTED", now.not_inspected],
  ];
  return html`<${Card} class="tight counters">
    <div class="tiles">
      ${tiles.map(
        ([verdict, n]) => html`<div class="tile-count"><span class="tile-name"><${Sign} verdict=${verdict} size=${16} />${t(`verdict.${verdict}`)}</span>
          <strong class="number" data-count=${verdict}>${count(n)}</strong><span class="muted">${now.triggers ? percent(n / now.triggers) : "–"}</span></div>`,
      )}
    </div>
    <div class="tiles three">
      <div class="tile-count"><span class="tile-name">${t("live.triggers")}</span><strong class="number" data-count="triggers">${count(now.triggers)}</strong></div>
      <div class="tile-count"><span class="tile-name">${t("live.halts")}</span><strong class="number">${count(now.halts)}</strong></div>
      <div class="tile-count"><span class="tile-name">${t("live.rate")}</span><strong class="number">${now.parts_per_s.toFixed(1)}</strong></div>
    </div>
  </${Card}>`;
}

function Health({ now }) {
  return html`<section class="health">
    ${now.cameras.map((camera) => {
      const good = camera.state === "connected" && !camera.last_error;
      return html`<div class=${`health-tile ${good ? "good" : camera.state === "ended" ? "calm" : "bad"}`}><${Icon} name="camera" />
        <div><strong>${camera.camera}</strong> <span class="word-state">${t(`live.camera_state.${camera.state}`)}</span>
        <div class="muted">${camera.last_error || t("live.camera_faults", { n: count(camera.faults), dropped: count(camera.dropped) })}</div></div></div>`;
    })}
    <div class=${`health-tile ${now.mqtt.connected ? "good" : "bad"}`}><${Icon} name="broker" />
      <div><strong>${t("live.mqtt")}</strong> <span class="word-state">${now.mqtt.connected ? t("live.connected") : t("live.disconnected")}</span>
      <div class="muted">${now.mqtt.waiting ? t("live.outbox", { n: count(now.mqtt.waiting), age: seconds(now.mqtt.oldest_age_s) }) : t("live.outbox_empty")}${
        now.mqtt.dead ? ` · ${t("live.dead", { n: now.mqtt.dead })}` : ""}</div></div></div>
    <div class="health-tile calm" title=${t("live.latency_help")}><${Icon} name="live" />
      <div><strong>${t("live.latency")}</strong><div class="muted number">${ms(now.latency_p50_ms)} · ${ms(now.latency_p99_ms)}</div></div></div>
    <a class=${`health-tile ${now.open_alarms ? "warn" : "good"}`} href="#/alarms"><${Icon} name="alarms" />
      <div><strong>${t("nav.alarms")}</strong><div class="muted">${now.open_alarms ? t("live.alarms_open", { n: now.open_alarms }) : t("live.alarms_none")}</div></div></a>
  </section>`;
}
