// Building blocks: text, icons, verdict signs, dialogs, formats.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-3.1.1.js";
import text from "./text/en.js";
import { api, note } from "./store.js";

export { html };

export function t(key, values = {}) {
  const found = key.split(".").reduce((node, step) => node?.[step], text);
  if (typeof found !== "string") return key.split(".").pop().replaceAll("_", " ");
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

const ICONS = {
  live: "M3 12h4l3-8 4 16 3-8h4",
  label: "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.01",
  quality: "M4 4v16h16M8 15l3-4 3 2 5-7",
  alarms: "M6 17h12l-1.5-2v-4a4.5 4.5 0 0 0-9 0v4zM10 20h4",
  line: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  browse: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM16.5 13a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7",
  edges: "M12 4v5M5 20v-4h14v4M12 9v7M9 4h6M3 20h4M17 20h4",
  account: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8M4 20c1-4 4-6 8-6s7 2 8 6",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  pause: "M8 5v14M16 5v14",
  play: "M7 4l13 8-13 8z",
  camera: "M4 7h4l2-3h4l2 3h4v12H4zM12 10a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7",
  close: "M5 5l14 14M19 5L5 19",
  undo: "M9 5L4 10l5 5M4 10h10a6 6 0 0 1 0 12h-3",
  box: "M4 4h4M4 4v4M20 4h-4M20 4v4M4 20h4M4 20v-4M20 20h-4M20 20v-4",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  broker: "M4 14a8 8 0 0 1 16 0M8 14a4 4 0 0 1 8 0M12 14h.01M12 18h.01",
  heat: "M12 3c1 4 5 6 5 11a5 5 0 0 1-10 0c0-2 1-3 2-4 0 2 1 3 2 3 1-3-1-6 1-10z",
};

export const Icon = ({ name, size = 22 }) =>
  html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

// Shape, colour and word say the same: no single one is needed to read a verdict.
export const VERDICTS = {
  OK: { css: "ok", shape: html`<circle cx="24" cy="24" r="21" /><path class="mark" d="m14 25 7 7 13-15" />` },
  REVIEW: { css: "review", shape: html`<path d="M24 3 46 43H2z" /><path class="mark" d="M24 18v12M24 36.5v.5" />` },
  NG: { css: "ng", shape: html`<path d="M15 3h18l12 12v18L33 45H15L3 33V15z" /><path class="mark" d="m16 16 16 16M32 16 16 32" />` },
  NOT_INSPECTED: { css: "ni", shape: html`<path d="m24 2 22 22-22 22L2 24z" /><path class="mark" d="M19 19c0-7 11-7 10 0-.5 4-5 4-5 8M24 33v.5" />` },
  STALE: { css: "stale", shape: html`<rect x="4" y="4" width="40" height="40" rx="4" /><path class="mark" d="M14 24h20" />` },
};

export const Sign = ({ verdict, size = 22 }) =>
  html`<svg class=${`sign ${VERDICTS[verdict].css}`} width=${size} height=${size} viewBox="0 0 48 48" aria-hidden="true">${VERDICTS[verdict].shape}</svg>`;

export const Verdict = ({ verdict, size = 20 }) =>
  html`<span class=${`verdict ${VERDICTS[verdict].css}`}><${Sign} verdict=${verdict} size=${size} />${t(`verdict.${verdict}`)}</span>`;

export const Card = ({ title, actions, children, class: css = "", ...rest }) =>
  html`<section class=${`card ${css}`} ...${rest}>
    ${title && html`<header class="card-head"><h2>${title}</h2>${actions && html`<div class="row">${actions}</div>`}</header>`}
    ${children}
  </section>`;

export const Empty = ({ title, children, icon = "live" }) =>
  html`<div class="empty"><${Icon} name=${icon} size=${40} /><strong>${title}</strong>${children && html`<p>${children}</p>`}</div>`;

export function Dialog({ title, onClose, children, wide = false }) {
  const ref = useRef(null);
  useEffect(() => {
    ref.current.showModal();
    return () => ref.current?.close();
  }, []);
  return html`<dialog ref=${ref} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${onClose}>
    <header class="card-head"><h2 id="dialog-title">${title}</h2>
      <button class="quiet square" aria-label=${t("common.close")} onClick=${onClose}><${Icon} name="close" size=${18} /></button></header>
    ${children}
  </dialog>`;
}

// Runs an action of the API once at a time and tells how it went.
export function useAction() {
  const [busy, setBusy] = useState(false);
  const run = async (method, path, body, done) => {
    setBusy(true);
    try {
      const answer = await api(method, path, body);
      if (done) note(done);
      return answer;
    } catch (error) {
      note(error.message, "error");
      return null;
    } finally {
      setBusy(false);
    }
  };
  return [run, busy];
}

export function useKeys(handlers) {
  const latest = useRef(handlers);
  latest.current = handlers; // with each render, so that a quick key never meets the handlers of the part before
  useEffect(() => {
    const listener = (event) => {
      const typing = event.target.matches?.("input, textarea, select") || document.querySelector("dialog[open]");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const handler = latest.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (handler) {
        event.preventDefault();
        handler(event);
      }
    };
    window.addEventListener("keydown", listener);
    return () => window.removeEventListener("keydown", listener);
  }, []);
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MOMENT = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const COUNT = new Intl.NumberFormat(undefined);

export const time = (iso) => (iso ? TIME.format(new Date(iso)) : "–");
export const moment = (iso) => (iso ? MOMENT.format(new Date(iso)) : "–");
const DAY = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", year: "numeric" });
export const day = (iso) => (iso ? DAY.format(new Date(iso)) : "–");
export const count = (n) => (n === null || n === undefined ? "–" : COUNT.format(n));
export const score = (x) => (x === null || x === undefined ? "–" : x.toFixed(3));
export const percent = (x, digits = 1) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(digits)} %`);
export const ms = (x) => (x === null || x === undefined ? "–" : x < 10 ? `${x.toFixed(1)} ms` : `${Math.round(x)} ms`);
export const seconds = (x) => (x < 90 ? `${Math.round(x)} s` : x < 5400 ? `${Math.round(x / 60)} min` : `${(x / 3600).toFixed(1)} h`);
export const ago = (iso) => seconds(Math.max(0, (Date.now() - Date.parse(iso)) / 1000));

// Where a score lies between the thresholds.
export function Gauge({ value, reviewAt, rejectAt }) {
  const place = (x) => ({ left: `${100 * Math.min(1, Math.max(0, x))}%` });
  const label = value === null ? t("live.no_score") : t("live.gauge", { score: score(value), review: score(reviewAt), reject: score(rejectAt) });
  return html`<div class="gauge" role="img" aria-label=${label}>
    <div class="gauge-bar">
      <span class="zone ok" style=${{ width: `${100 * reviewAt}%` }}></span>
      <span class="zone review" style=${{ width: `${100 * (rejectAt - reviewAt)}%` }}></span>
      <span class="zone ng" style=${{ width: `${100 * (1 - rejectAt)}%` }}></span>
      ${value !== null && html`<span class="needle" style=${place(value)}></span>`}
    </div>
    <div class="gauge-marks" aria-hidden="true">
      <span class="gauge-mark end" style=${place(reviewAt)}>${t("live.review_at")} ${score(reviewAt)}</span>
      <span class="gauge-mark" style=${place(rejectAt)}>${score(rejectAt)} ${t("live.reject_at")}</span>
    </div>
  </div>`;
}

// A part's picture with its heat map layer and the boxes around suspicious regions; everything scales like object-fit: contain.
export function Picture({ part, heat = 0, boxes = true, alt, size = "screen" }) {
  const [shape, setShape] = useState(null);
  const [failed, setFailed] = useState("");
  const [layerFailed, setLayerFailed] = useState("");
  if (!part.image || failed === part.event_id)
    return html`<div class="no-picture"><${Icon} name="camera" size=${40} />${t("common.no_picture")}</div>`;
  return html`<div class="picture">
    <img
      src=${`${part.image}?size=${size}`}
      alt=${alt ?? t("common.picture_of", { part: part.part_id })}
      onLoad=${(event) => setShape([event.target.naturalWidth, event.target.naturalHeight])}
      onError=${() => setFailed(part.event_id)}
      draggable=${false}
      loading=${size === "thumb" ? "lazy" : "eager"}
      fetchpriority=${size === "thumb" ? "low" : "high"}
    />
    ${heat > 0 && part.heatmap && layerFailed !== part.event_id &&
    html`<img key=${part.event_id} class="layer" src=${part.heatmap} alt="" style=${{ opacity: heat }} onError=${() => setLayerFailed(part.event_id)} draggable=${false} />`}
    ${boxes && shape && part.regions.length > 0 && html`<${Boxes} shape=${shape} boxes=${part.regions.map((r) => [r.x, r.y, r.width, r.height])} />`}
  </div>`;
}

// Boxes relative to a picture of shape [width, height].
export const Boxes = ({ boxes, shape: [w, h], css = "" }) =>
  html`<svg class=${`boxes ${css}`} viewBox=${`0 0 ${w} ${h}`} aria-hidden="true">
    ${boxes.map(
      ([x, y, bw, bh]) => html`<rect class="under" x=${x * w} y=${y * h} width=${bw * w} height=${bh * h} />
        <rect x=${x * w} y=${y * h} width=${bw * w} height=${bh * h} />`,
    )}
  </svg>`;

export const Facts = ({ rows, css = "" }) =>
  html`<dl class=${`facts ${css}`}>${rows.filter(Boolean).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
