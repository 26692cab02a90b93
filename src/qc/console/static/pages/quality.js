// Rates with their intervals: overall, over time, per slice, before and after. A bare rate is never shown.

import uPlot from "../vendor/uplot-1.6.32.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.js";
import { useApi } from "../store.js";
import { Card, count, Empty, moment, percent, t } from "../ui.js";

const HEADLINES = ["detection_rate", "false_positive_rate", "escapes_ppm", "prevalence", "review_rate", "precision"];
const HALF_DAY_S = 43200;
const BY = ["", "variant", "camera", "shift", "model"];

const isPpm = (metric) => metric.endsWith("_ppm");
const show = (metric, x, digits = 1) => (x === null ? "–" : isPpm(metric) ? `${count(Math.round(x))} ppm` : percent(x, digits));
const range = (rate) => (rate.low === null ? "" : `${show(rate.metric, rate.low)} – ${show(rate.metric, rate.high)}`);

export function Quality() {
  const [by, setBy] = useState("variant");
  const [split, setSplit] = useState("");
  const query = new URLSearchParams();
  if (by) query.set("by", by);
  if (split) query.set("split", new Date(split).toISOString());
  const { data, error } = useApi(`quality?${query}`, 15000);
  if (error && !data) return html`<${Empty} title=${t("quality.not_yet")} icon="quality">${error.message}</${Empty}>`;
  if (!data) return html`<p class="loading">${t("common.loading")}</p>`;
  if (!data.available) return html`<${Empty} title=${t("quality.not_yet")} icon="quality">${data.message}</${Empty}>`;
  const headline = HEADLINES.map((name) => data.overall.rates.find((rate) => rate.metric === name)).filter(Boolean);
  return html`<div class="stack">
    ${data.message && html`<p class="muted">${data.message}</p>`}
    <div class="rates">${headline.map((rate) => html`<${Rate} key=${rate.metric} rate=${rate} />`)}${data.challenge && html`<${Rate} rate=${{ ...data.challenge, metric: "challenge" }} />`}</div>
    <div class="columns">
      ${["detection_rate", "false_positive_rate"].map((metric) => html`<${Card} key=${metric} title=${`${t(`quality.${metric}`)} · ${t("quality.over_time")}`}><${Trend} metric=${metric} periods=${data.periods} /></${Card}>`)}
    </div>
    <${Card} title=${t("quality.per_slice")} actions=${html`<label class="row">${t("quality.slice_by")}<select value=${by} onChange=${(event) => setBy(event.target.value)}>${BY.map((name) => html`<option value=${name}>${t(`quality.by.${name || "none"}`)}</option>`)}</select></label>
      ${data.report && html`<a class="button" href=${data.report} target="_blank" rel="noopener">${t("quality.report")}</a>`}`}>
      <${Slices} slices=${data.slices.length ? data.slices : [data.overall]} />
    </${Card}>
    <div class="columns">
      <${Card} title=${t("quality.evidence")}><${Evidence} rows=${data.evidence} /></${Card}>
      <${Card} title=${t("quality.agreement")}><${Agreement} data=${data} /></${Card}>
    </div>
    <${Card} title=${t("quality.compare")} actions=${html`<label class="row">${t("quality.compare_at")}<input type="datetime-local" value=${split} onInput=${(event) => setSplit(event.target.value)} /></label>`}>
      <${Comparison} rows=${data.comparison} />
    </${Card}>
  </div>`;
}

function Rate({ rate }) {
  const place = (x) => `${100 * Math.min(1, Math.max(0, x))}%`;
  const estimable = rate.estimate !== null;
  const scale = isPpm(rate.metric) ? Math.max(rate.high ?? 0, rate.goal ?? 0, 1) : 1;
  return html`<section class="card rate" data-metric=${rate.metric}>
    <h3>${t(`quality.${rate.metric}`)}</h3>
    <div class=${`number ${estimable ? "" : "words"}`}>${estimable ? show(rate.metric, rate.estimate) : t("quality.not_estimable")}</div>
    ${rate.low !== null && html`<div class="whisker" role="img" aria-label=${`${t("quality.interval", { confidence: percent(rate.confidence, 0) })} ${range(rate)}`}>
      <span class="track"></span><span class="range" style=${{ left: place(rate.low / scale), width: place((rate.high - rate.low) / scale) }}></span>
      ${rate.goal !== null && rate.goal !== undefined && html`<span class="goal" style=${{ left: place(rate.goal / scale) }}></span>`}
      ${estimable && html`<span class="point" style=${{ left: place(rate.estimate / scale) }}></span>`}</div>`}
    <small>${rate.low !== null && `${range(rate)} · `}${t("quality.counts", { n: count(rate.n), found: count(rate.found) })}</small>
    ${!estimable && html`<small>${rate.not_estimable}</small>`}
    ${rate.goal !== null && rate.goal !== undefined && html`<small>${t("quality.goal", { goal: show(rate.metric, rate.goal) })}: <strong class=${`verdict ${{ yes: "ok", no: "ng" }[rate.goal_met] ?? "review"}`}>${t(`quality.goal_${rate.goal_met}`)}</strong></small>`}
    ${rate.unconfirmed && html`<small><strong class="verdict review">${t("quality.unconfirmed")}</strong></small>`}
  </section>`;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function Trend({ metric, periods }) {
  const box = useRef(null);
  const points = periods.map((period) => [Date.parse(period.start) / 1000, period.rates.find((rate) => rate.metric === metric)]).filter(([, rate]) => rate && rate.low !== null);
  const key = JSON.stringify(points);
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const listener = () => setTheme((n) => n + 1);
    window.addEventListener("qc-theme", listener);
    return () => window.removeEventListener("qc-theme", listener);
  }, []);
  useEffect(() => {
    if (!points.length) return undefined;
    const [accent, muted, border] = ["--accent", "--muted", "--border"].map(colour);
    const axis = { stroke: muted, grid: { stroke: border, width: 1 }, ticks: { stroke: border }, font: "12px system-ui" };
    const data = [points.map(([x]) => x), points.map(([, r]) => r.low), points.map(([, r]) => r.high), points.map(([, r]) => r.estimate)];
    const plot = new uPlot(
      {
        width: box.current.clientWidth,
        height: 240,
        scales: { x: { range: () => [points[0][0] - HALF_DAY_S, points[points.length - 1][0] + HALF_DAY_S] }, y: { range: [0, 1] } },
        axes: [axis, { ...axis, values: (u, ticks) => ticks.map((tick) => percent(tick, 0)), size: 56 }],
        series: [
          {},
          { label: t("quality.low"), stroke: `${accent}88`, points: { show: points.length < 3 }, value: (u, v) => percent(v) },
          { label: t("quality.high"), stroke: `${accent}88`, points: { show: points.length < 3 }, value: (u, v) => percent(v) },
          { label: t(`quality.${metric}`), stroke: accent, width: 2.5, points: { show: true, size: 7, fill: accent }, value: (u, v) => percent(v), spanGaps: false },
        ],
        bands: [{ series: [2, 1], fill: `${accent}2e` }],
      },
      data,
      box.current,
    );
    const resize = new ResizeObserver(() => plot.setSize({ width: box.current.clientWidth, height: 240 }));
    resize.observe(box.current);
    return () => {
      resize.disconnect();
      plot.destroy();
    };
  }, [key, theme]);
  if (!points.length) return html`<p class="muted">${t("quality.no_periods")}</p>`;
  return html`<div class="chart" ref=${box} role="img" aria-label=${`${t(`quality.${metric}`)} ${t("quality.over_time")}`}></div>
    <details><summary>${t("common.details")}</summary><table><tbody>${points.map(([x, rate]) => html`<tr><td>${moment(x * 1000)}</td><td class="number">${show(metric, rate.estimate)}</td><td class="number muted">${range(rate)}</td><td class="muted">${t("quality.counts", { n: rate.n, found: rate.found })}</td></tr>`)}</tbody></table></details>`;
}

function Slices({ slices }) {
  const metrics = ["detection_rate", "false_positive_rate", "escapes_ppm", "review_rate"];
  return html`<div class="scroll-x" tabindex="0"><table><thead><tr><th></th><th>${t("quality.parts")}</th>${metrics.map((metric) => html`<th>${t(`quality.${metric}`)}</th>`)}</tr></thead>
    <tbody>${slices.map(
      (slice) => html`<tr><td><strong>${Object.values(slice.key).join(" · ") || t("quality.whole_line")}</strong></td><td class="number">${count(slice.parts)}</td>
        ${metrics.map((metric) => {
          const rate = slice.rates.find((one) => one.metric === metric);
          if (!rate) return html`<td>–</td>`;
          return html`<td class="number">${rate.estimate === null ? html`<span title=${rate.not_estimable}>${t("quality.not_estimable")}</span>` : html`<strong>${show(metric, rate.estimate)}</strong>`}
            <div class="muted">${rate.estimate === null ? rate.not_estimable : range(rate)}</div><div class="muted">${t("quality.counts", { n: count(rate.n), found: count(rate.found) })}</div></td>`;
        })}</tr>`,
    )}</tbody></table></div>`;
}

function Evidence({ rows }) {
  if (!rows.length) return html`<p class="muted">${t("quality.evidence_none")}</p>`;
  return html`<p class="muted">${t("quality.evidence_help")}</p>${rows.map((row) => {
    const value = row.log10_evidence;
    const share = value === null ? 0 : Math.max(0, Math.min(1, value / Math.max(0.1, row.log10_threshold)));
    return html`<div class="ebar"><span>${row.quantity.replaceAll("_", " ")} <span class="muted">${row.slice}</span></span>
      <span class=${`bar ${share >= 1 ? "over" : ""}`} role="img" aria-label=${`${row.quantity} ${value === null ? t("quality.nothing_yet") : value.toFixed(1)} / ${row.log10_threshold.toFixed(1)}`}><span style=${{ width: `${100 * share}%` }}></span></span>
      <span class="number muted">${value === null ? t("quality.nothing_yet") : html`10<sup>${value.toFixed(1)}</sup>`} / 10<sup>${row.log10_threshold.toFixed(1)}</sup></span></div>`;
  })}`;
}

function Agreement({ data }) {
  if (!data.agreement.length) return html`<p class="muted">${t("quality.agreement_none")}</p>`;
  const cell = (rate) => html`<td class="number">${rate.estimate === null ? t("quality.not_estimable") : percent(rate.estimate)} <span class="muted">${range(rate)}</span></td>`;
  return html`<div class="scroll-x" tabindex="0"><table><thead><tr><th></th><th>${t("quality.effectiveness")}</th><th>${t("quality.miss")}</th><th>${t("quality.false_alarm")}</th><th>${t("quality.grade")}</th></tr></thead>
    <tbody>${data.agreement.map((one) => html`<tr><td><strong>${one.labeller}</strong></td>${cell(one.effectiveness)}${cell(one.miss)}${cell(one.false_alarm)}<td>${one.grade}</td></tr>`)}</tbody></table></div>
    ${data.kappa !== null && html`<p class="muted">${t("quality.kappa")}: <strong>${data.kappa.toFixed(2)}</strong></p>`}`;
}

function Comparison({ rows }) {
  if (!rows.length) return html`<p class="muted">${t("quality.compare_none")}</p>`;
  const value = (rate) => html`<td class="number">${rate.estimate === null ? t("quality.not_estimable") : show(rate.metric, rate.estimate)} <div class="muted">${range(rate)}</div></td>`;
  return html`<div class="scroll-x" tabindex="0"><table><tbody>${rows.map(
    (row) => html`<tr><td><strong>${t(`quality.${row.metric}`)}</strong></td>${value(row.before)}${value(row.after)}
      <td class="number">${row.difference === null ? row.not_estimable : `${show(row.metric, row.difference)} (${show(row.metric, row.low)} – ${show(row.metric, row.high)})`}</td>
      <td>${t(row.significant ? "quality.significant" : "quality.not_significant")}</td></tr>`,
  )}</tbody></table></div>`;
}
