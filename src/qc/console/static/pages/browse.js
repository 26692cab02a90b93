// Parts by time, verdict, variant, score and label; everything about one of them; export for training.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.js";
import { api, may, note, useApi } from "../store.js";
import { Card, Dialog, Empty, Facts, Gauge, Icon, moment, ms, Picture, score, t, time, Verdict } from "../ui.js";
import { Recent } from "./line.js";

const NOTHING = { verdict: "", variant: "", label: "", min_score: "", max_score: "", since: "", until: "", part: "" };

function queryOf(filters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    if (value === "") continue;
    query.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value);
  }
  return query;
}

export function Browse({ argument }) {
  const [filters, setFilters] = useState(NOTHING);
  const [found, setFound] = useState(null);
  const load = async (before) => {
    const query = queryOf(filters);
    query.set("limit", "48");
    if (before) query.set("before_seq", before);
    try {
      const page = await api("GET", `parts?${query}`);
      setFound((old) => ({ ...page, parts: before ? [...old.parts, ...page.parts] : page.parts }));
    } catch (error) {
      note(error.message, "error");
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => load(), 200);
    return () => clearTimeout(timer);
  }, [JSON.stringify(filters)]);
  const field = (name, extra = {}) => ({ name, value: filters[name], onInput: (event) => setFilters({ ...filters, [name]: event.target.value }), ...extra });
  return html`<div class="stack">
    <${Card}>
      <div class="filters">
        <label class="field">${t("browse.verdict")}<select ...${field("verdict")}><option value="">${t("common.all")}</option>
          ${["OK", "REVIEW", "NG", "NOT_INSPECTED"].map((name) => html`<option value=${name}>${t(`verdict.${name}`)}</option>`)}</select></label>
        <label class="field">${t("browse.variant")}<select ...${field("variant")}><option value="">${t("common.all")}</option>
          ${(found?.variants ?? []).map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
        <label class="field">${t("browse.label")}<select ...${field("label")}><option value="">${t("common.all")}</option>
          ${["good", "defect", "unsure", "any", "none"].map((name) => html`<option value=${name}>${t(`browse.labels.${name}`)}</option>`)}</select></label>
        <label class="field">${t("browse.score")} ${t("browse.min")}<input ...${field("min_score", { type: "number", min: 0, max: 1, step: 0.05 })} /></label>
        <label class="field">${t("browse.score")} ${t("browse.max")}<input ...${field("max_score", { type: "number", min: 0, max: 1, step: 0.05 })} /></label>
        <label class="field">${t("browse.from")}<input ...${field("since", { type: "datetime-local" })} /></label>
        <label class="field">${t("browse.to")}<input ...${field("until", { type: "datetime-local" })} /></label>
        <label class="field">${t("browse.part")}<input ...${field("part", { type: "text", maxlength: 100 })} /></label>
        <button onClick=${() => setFilters(NOTHING)}>${t("browse.reset")}</button>
        <span class="space"></span>
        ${may("engineer") && html`<a class="button" href=${`/api/v1/export?${queryOf(filters)}`} download title=${t("browse.export_help")}><${Icon} name="download" size=${18} />${t("browse.export")}</a>`}
      </div>
    </${Card}>
    ${found && found.parts.length === 0 && html`<${Empty} title=${t("browse.none")} icon="browse">${t("browse.none_help")}</${Empty}>`}
    <div class="gallery browse-grid">
      ${(found?.parts ?? []).map(
        (part) => html`<a key=${part.event_id} class="thumb" href=${`#/browse/${part.event_id}`}>
          <div class="thumb-picture"><${Picture} part=${part} boxes=${false} size="thumb" alt="" /></div>
          <div class="row"><${Verdict} verdict=${part.verdict} size=${16} /><span class="number">${score(part.score)}</span></div>
          <div class="row"><span class="muted">${moment(part.decided_at)}</span>${part.label && html`<span class=${`tag ${part.label.truth === "defect" ? "bad" : part.label.truth === "good" ? "good" : ""}`}>${t(`label.${part.label.truth}`)}</span>`}</div>
          <span class="name">${part.part_id}</span></a>`,
      )}
    </div>
    ${found?.more && html`<div class="row"><button onClick=${() => load(found.parts[found.parts.length - 1].seq)}>${t("common.more")}</button></div>`}
    ${argument && html`<${Detail} key=${argument} id=${argument} />`}
  </div>`;
}

function Detail({ id }) {
  const { data, error } = useApi(`parts/${encodeURIComponent(id)}`);
  const [heat, setHeat] = useState(0.7);
  const close = () => (location.hash = "#/browse");
  if (error) return html`<${Dialog} title=${t("common.details")} onClose=${close}><p>${error.message}</p></${Dialog}>`;
  if (!data) return null;
  const { part } = data;
  const quality = data.image_quality;
  return html`<${Dialog} wide title=${part.part_id} onClose=${close}>
    <div class="detail">
      <div class="stack">
        <div class="detail-picture"><${Picture} part=${part} heat=${heat} boxes=${heat > 0} /></div>
        <label class="row muted">${t("live.heat")}<input type="range" min="0" max="1" step="0.05" value=${heat} onInput=${(event) => setHeat(Number(event.target.value))} aria-label=${t("live.heat_opacity")} /></label>
        <${Card} title=${t("browse.labels_given")}>
          ${data.labels.length === 0
            ? html`<p class="muted">${t("browse.no_labels")}</p>`
            : html`<table><tbody>${data.labels.map(
                (label) => html`<tr><td><strong>${t(`label.${label.truth}`)}</strong> ${label.defect_type}</td><td>${label.labeller}</td><td>${t(`label.round.${label.review_round}`)}</td><td class="muted">${label.purpose && t(`browse.purposes.${label.purpose}`)}</td><td class="number">${moment(label.labelled_at)}</td></tr>`,
              )}</tbody></table>`}
        </${Card}>
      </div>
      <div class="stack">
        <div class="row"><${Verdict} verdict=${part.verdict} size=${30} /><span class="muted">${t(`reason.${part.reason}`)}</span></div>
        <${Gauge} value=${part.score} reviewAt=${part.review_at} rejectAt=${part.reject_at} />
        <${Facts} rows=${[
          [t("live.score"), score(part.score)],
          [t("live.decided"), `${moment(part.decided_at)} · ${time(part.decided_at)}`],
          [t("live.variant"), part.variant],
          [t("browse.recipe"), data.recipe_version],
          [t("live.model"), `${part.model} · ${data.model_sha256.slice(0, 12)}`],
          [t("live.camera"), part.camera],
          [t("browse.frame"), `${data.frame_number} · ${t("browse.lost_before", { n: data.dropped_before })}`],
          [t("browse.source"), data.source_ref || "–"],
          [t("browse.timings"), [data.queued_ms, data.preprocess_ms, data.inference_ms, part.total_ms].map(ms).join(" · ")],
          quality && [t("browse.image_quality"), t("browse.quality_of", Object.fromEntries(Object.entries(quality).map(([key, value]) => [key, value.toFixed(1)])))],
          part.challenge_id && [t("live.challenge"), part.challenge_id],
          part.detail && [t("common.details"), part.detail],
        ]} />
        <${Card} title=${t("browse.events")}><${Facts} rows=${data.events.map((event) => [`${event.kind} #${event.seq}`, `${t(`browse.event_states.${event.state}`)} ${event.sent_at ? time(event.sent_at) : ""}`])} />
          ${data.alarms.map((alarm) => html`<p><a href=${`#/alarms/${alarm.alarm_id}`}>${alarm.message}</a></p>`)}
          ${data.passes.map((pass) => html`<p><a href=${`#/browse/${pass.event_id}`}><${Verdict} verdict=${pass.verdict} size=${14} /> ${moment(pass.decided_at)}</a></p>`)}
        </${Card}>
        ${data.audit.length > 0 && html`<${Recent} entries=${data.audit} />`}
      </div>
    </div>
  </${Dialog}>`;
}
