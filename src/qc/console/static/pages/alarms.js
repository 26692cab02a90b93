// Alarms: what is wrong, what speaks for which cause, what to do about it, and who has seen it.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.js";
import { api, may, status, useApi, useSignal } from "../store.js";
import { ago, Card, count, Dialog, Empty, Facts, Icon, moment, Picture, score, t, useAction, Verdict } from "../ui.js";

export function Alarms({ argument }) {
  const now = useSignal(status);
  const [state, setState] = useState("current");
  const { data, reload } = useApi(`alarms?state=${state}`, 3000, [now?.open_alarms]);
  const alarms = data?.alarms ?? [];
  const chosen = alarms.find((alarm) => alarm.alarm_id === argument) ?? alarms[0];
  return html`<div class="two">
    <div>
      <div class="tabs" role="group" aria-label=${t("alarms.title")}>
        ${["current", "all"].map(
          (name) => html`<button aria-pressed=${state === name} onClick=${() => setState(name)}>${t(name === "all" ? "alarms.past" : "alarms.current")}</button>`,
        )}
      </div>
      <div class="stack">
        ${data && alarms.length === 0 && html`<${Empty} title=${t("alarms.none")} icon="alarms">${t("alarms.none_help")}</${Empty}>`}
        ${alarms.map(
          (alarm) => html`<button key=${alarm.alarm_id} class=${`alarm-item ${alarm.state} ${alarm.action} ${alarm === chosen ? "current" : ""}`}
            onClick=${() => (location.hash = `#/alarms/${alarm.alarm_id}`)}>
            <span class=${`tag ${alarm.state}`}>${t(`alarms.states.${alarm.state}`)}</span>
            <strong>${t(`alarms.causes.${alarm.cause}`)}</strong>
            <p>${alarm.message}</p><span class="muted">${moment(alarm.since)} · ${alarm.quantity.replaceAll("_", " ")} / ${alarm.slice}</span></button>`,
        )}
      </div>
    </div>
    ${chosen ? html`<${Detail} key=${chosen.alarm_id} alarm=${chosen} onDone=${reload} />` : alarms.length > 0 && html`<${Empty} title=${t("alarms.choose")} icon="alarms" />`}
  </div>`;
}

function Detail({ alarm, onDone }) {
  const [dialog, setDialog] = useState("");
  const open = alarm.state !== "cleared";
  const allowed = may("operator");
  const tell = alarm.acknowledged_by ? t("common.by", { who: alarm.acknowledged_by }) : "";
  return html`<${Card} class="stack" title=${`${alarm.quantity.replaceAll("_", " ")} · ${alarm.slice}`} actions=${html`<span class=${`tag ${alarm.state}`}>${t(`alarms.states.${alarm.state}`)}</span>`}>
    <p class="lead">${alarm.message}</p>
    <div class="advice"><${Icon} name="alarms" /><div><h3>${t("alarms.action")}</h3><strong>${t(`alarms.actions.${alarm.action}`)}</strong></div></div>
    <${Facts} rows=${[
      [t("alarms.cause"), t(`alarms.causes.${alarm.cause}`)],
      [t("alarms.evidence"), t("alarms.evidence_value", { evidence: number(alarm.evidence), threshold: number(alarm.threshold) })],
      [t("common.since", { time: moment(alarm.since) }), `${ago(alarm.since)} · ${t("alarms.updates", { n: count(alarm.updates), time: moment(alarm.updated_at) })}`],
      alarm.state === "acknowledged" && [t("alarms.acknowledged", { who: tell }), alarm.note || "–"],
      alarm.state === "snoozed" && [t("alarms.snoozed", { time: moment(alarm.snoozed_until), who: tell }), alarm.note],
    ]} />
    ${open && html`<div class="row">
      <button class="primary" disabled=${!allowed || alarm.state === "acknowledged"} onClick=${() => setDialog("ack")}>${t("alarms.acknowledge")}</button>
      <button disabled=${!allowed} onClick=${() => setDialog("snooze")}>${t("alarms.snooze")}</button>
      ${INPUTS.includes(alarm.quantity) && may("engineer") && html`<button onClick=${() => setDialog("relearn")}>${t("alarms.relearn")}</button>`}
      ${!allowed && html`<a href="#/account">${t("common.login_needed")}</a>`}</div>`}
    ${alarm.evidence_by_cause.length > 0 && html`<div><h3>${t("alarms.speaks")}</h3><${Facts} css="prose" rows=${alarm.evidence_by_cause.map(([cause, sentence]) => [t(`alarms.causes.${cause}`), sentence])} /></div>`}
    ${alarm.parts.length > 0 && html`<div><h3>${t("alarms.pictures")}</h3><${Evidence} events=${alarm.parts.slice(0, 8)} /></div>`}
    ${dialog === "ack" && html`<${Acknowledge} alarm=${alarm} onClose=${() => setDialog("")} onDone=${onDone} />`}
    ${dialog === "snooze" && html`<${Snooze} alarm=${alarm} onClose=${() => setDialog("")} onDone=${onDone} />`}
    ${dialog === "relearn" && html`<${Relearn} alarm=${alarm} onClose=${() => setDialog("")} onDone=${onDone} />`}
  </${Card}>`;
}

// Quantities that are compared with a learned reference.
const INPUTS = ["score", "image_quality", "embedding", "reject_rate"];

const number = (x) => (x === null ? "–" : Math.abs(x) >= 1e4 || (x !== 0 && Math.abs(x) < 0.01) ? x.toExponential(1) : String(Math.round(x * 1000) / 1000));

function Evidence({ events }) {
  const [found, setFound] = useState([]);
  const key = events.join();
  useEffect(() => {
    Promise.all(events.map((id) => api("GET", `parts/${encodeURIComponent(id)}`).catch(() => null))).then((all) => setFound(all.filter(Boolean).map((detail) => detail.part)));
  }, [key]);
  return html`<div class="gallery">${found.map(
    (part) => html`<a class="thumb" key=${part.event_id} href=${`#/browse/${part.event_id}`}>
      <div class="thumb-picture"><${Picture} part=${part} heat=${0.6} size="thumb" /></div>
      <div class="row"><${Verdict} verdict=${part.verdict} size=${16} /><span class="number">${score(part.score)}</span></div><span class="name">${part.part_id}</span></a>`,
  )}</div>`;
}

function Acknowledge({ alarm, onClose, onDone }) {
  const [run, busy] = useAction();
  const submit = async (event) => {
    event.preventDefault();
    const body = { note: new FormData(event.target).get("note") };
    if (await run("POST", `alarms/${alarm.alarm_id}/ack`, body, t("alarms.done_ack"))) {
      onClose();
      onDone();
    }
  };
  return html`<${Dialog} title=${t("alarms.acknowledge")} onClose=${onClose}>
    <form class="form" onSubmit=${submit}><p>${alarm.message}</p>
      <label class="field">${t("alarms.note_help")}<textarea name="note" maxlength="500" autofocus></textarea></label>
      <div class="row"><button type="button" onClick=${onClose}>${t("common.cancel")}</button><button class="primary" disabled=${busy}>${t("alarms.acknowledge")}</button></div></form>
  </${Dialog}>`;
}

function Snooze({ alarm, onClose, onDone }) {
  const [run, busy] = useAction();
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const minutes = Number(form.get("minutes"));
    if (await run("POST", `alarms/${alarm.alarm_id}/snooze`, { minutes, reason: form.get("reason") }, t("alarms.done_snooze", { minutes }))) {
      onClose();
      onDone();
    }
  };
  return html`<${Dialog} title=${t("alarms.snooze")} onClose=${onClose}>
    <form class="form" onSubmit=${submit}><p>${alarm.message}</p>
      <label class="field">${t("alarms.minutes")}<input name="minutes" type="number" min="1" max="10080" value="30" required /></label>
      <label class="field">${t("alarms.reason")}<textarea name="reason" maxlength="500" required autofocus></textarea></label>
      <div class="row"><button type="button" onClick=${onClose}>${t("common.cancel")}</button><button class="primary" disabled=${busy}>${t("alarms.snooze")}</button></div></form>
  </${Dialog}>`;
}

function Relearn({ alarm, onClose, onDone }) {
  const [run, busy] = useAction();
  const submit = async (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason");
    if (await run("POST", `alarms/${alarm.alarm_id}/relearn`, { reason }, t("alarms.done_relearn"))) {
      onClose();
      onDone();
    }
  };
  return html`<${Dialog} title=${t("alarms.relearn")} onClose=${onClose}>
    <form class="form" onSubmit=${submit}><p>${t("alarms.relearn_help")}</p>
      <label class="field">${t("alarms.reason")}<textarea name="reason" maxlength="500" required autofocus></textarea></label>
      <div class="row"><button type="button" onClick=${onClose}>${t("common.cancel")}</button><button class="primary" disabled=${busy}>${t("alarms.relearn")}</button></div></form>
  </${Dialog}>`;
}
