// Acting on the line: recipe changeover, pause, challenge parts, models.

import { html, useState } from "../vendor/htm-preact-3.1.1.js";
import { may, status, useApi, useSignal } from "../store.js";
import { Card, day, Dialog, Facts, Icon, moment, percent, score, t, time, useAction } from "../ui.js";

export function Line() {
  const now = useSignal(status);
  const { data, reload } = useApi("line", 5000, [now?.variant, now?.state]);
  if (!data) return html`<p class="loading">${t("common.loading")}</p>`;
  return html`<div class="columns">
    <div class="stack"><${Recipes} data=${data} onDone=${reload} /><${Run} now=${now} data=${data} onDone=${reload} /></div>
    <div class="stack"><${Models} data=${data} onDone=${reload} /><${Challenges} data=${data} onDone=${reload} /></div>
    <${Recent} entries=${data.recent} />
  </div>`;
}

const Locked = ({ role }) => (may(role) ? null : html`<a href="#/account" class="muted">${t("common.role_needed", { role: t(`account.roles.${role}`) })}</a>`);

function Recipes({ data, onDone }) {
  const [wanted, setWanted] = useState(null);
  const active = data.recipes.find((recipe) => recipe.active);
  return html`<${Card} title=${t("line.recipes")} actions=${html`<${Locked} role="operator" />`}>
    <div class="recipes">
      ${data.recipes.map(
        (recipe) => html`<div key=${recipe.variant} class=${`recipe ${recipe.active ? "active" : ""}`}>
          <strong>${recipe.variant}</strong>
          ${recipe.active
            ? html`<span class="tag good">${t("line.active")}</span>`
            : html`<button disabled=${!may("operator")} onClick=${() => setWanted(recipe)}>${t("line.change")}</button>`}
          <span class="muted">${recipe.model} · ${score(recipe.review_at)} / ${score(recipe.reject_at)} · ${recipe.version}</span>
        </div>`,
      )}
    </div>
    ${wanted && html`<${Changeover} from=${active} to=${wanted} onClose=${() => setWanted(null)} onDone=${onDone} />`}
  </${Card}>`;
}

const Roi = ({ points }) =>
  points
    ? html`<svg class="roi" viewBox="0 0 1 1" role="img" aria-label=${t("line.roi")}><polygon points=${points.map((p) => p.join(",")).join(" ")} /></svg>`
    : t("line.roi_whole");

function Changeover({ from, to, onClose, onDone }) {
  const [run, busy] = useAction();
  const rows = [
    [t("live.variant"), (r) => r.variant],
    [t("live.model"), (r) => r.model],
    [t("line.thresholds"), (r) => `${score(r.review_at)} / ${score(r.reject_at)}`],
    [t("line.deadline"), (r) => `${r.deadline_ms} ms`],
    [t("line.roi"), (r) => html`<${Roi} points=${r.roi} />`, (r) => JSON.stringify(r.roi)],
    [t("line.ignored"), (r) => String(r.ignored_areas)],
    [t("line.labels"), (r) => String(r.labels_per_window)],
    [t("line.stops"), (r) => t(r.stops_line ? "line.yes" : "line.no")],
  ];
  const go = async () => {
    if (await run("POST", "line/recipe", { variant: to.variant }, t("line.change_done", { variant: to.variant }))) {
      onClose();
      onDone();
    }
  };
  return html`<${Dialog} title=${t("line.change_title", { variant: to.variant })} onClose=${onClose}>
    <table class="changes"><thead><tr><th></th><th>${t("line.now")}</th><th>${t("line.then")}</th></tr></thead>
      <tbody>${rows.map(([name, show, key = show]) => html`<tr class=${key(from) === key(to) ? "" : "changed"}><td class="muted">${name}</td><td>${show(from)}</td><td>${show(to)}</td></tr>`)}</tbody></table>
    <p class="muted">${t("line.change_help")}</p>
    <div class="form"><div class="row"><button onClick=${onClose}>${t("common.cancel")}</button><button class="primary" autofocus disabled=${busy} onClick=${go}>${t("line.change")}</button></div></div>
  </${Dialog}>`;
}

function Run({ now, data, onDone }) {
  const [run, busy] = useAction();
  const [asking, setAsking] = useState(false);
  const paused = now?.state === "paused" || data.paused;
  const pause = async (event) => {
    event.preventDefault();
    if (await run("POST", "line/pause", { reason: new FormData(event.target).get("reason") }, t("line.paused"))) {
      setAsking(false);
      onDone();
    }
  };
  const resume = async () => (await run("POST", "line/resume", { reason: "" }, t("line.resumed"))) && onDone();
  const trigger = async (camera) => {
    const answer = await run("POST", "line/trigger", { camera });
    if (answer) onDone();
  };
  const allowed = may("operator") && !busy;
  return html`<${Card} title=${t("line.run")} actions=${html`<${Locked} role="operator" />`}>
    <div class="row">
      ${paused
        ? html`<button class="primary" disabled=${!allowed} onClick=${resume}><${Icon} name="play" size=${18} />${t("line.resume")}</button>`
        : html`<button disabled=${!allowed} onClick=${() => setAsking(true)}><${Icon} name="pause" size=${18} />${t("line.pause")}</button>`}
      ${(now?.cameras ?? []).map(
        (camera) => html`<button disabled=${!allowed || paused} onClick=${() => trigger(camera.camera)}><${Icon} name="camera" size=${18} />${t("line.trigger")} (${camera.camera})</button>
          <button disabled=${!allowed} onClick=${() => run("POST", "line/snapshot", { camera: camera.camera }).then((a) => a && onDone())}>${t("line.snapshot")}</button>`,
      )}
    </div>
    ${asking && html`<${Dialog} title=${t("line.pause_title")} onClose=${() => setAsking(false)}><form class="form" onSubmit=${pause}><p>${t("line.pause_help")}</p>
      <label class="field">${t("alarms.reason")}<input name="reason" maxlength="500" autofocus /></label>
      <div class="row"><button type="button" onClick=${() => setAsking(false)}>${t("common.cancel")}</button><button class="primary" disabled=${busy}>${t("line.pause")}</button></div></form></${Dialog}>`}
  </${Card}>`;
}

function ratesOf(rates) {
  const table = rates.promised ?? rates;
  return Object.entries(table).filter(([, rate]) => rate && typeof rate === "object" && "estimate" in rate);
}

function Models({ data, onDone }) {
  const [asked, setAsked] = useState(null);
  const [run, busy] = useAction();
  const [model, setModel] = useState("");
  const allowed = may("engineer");
  const go = async () => {
    const body = { action: asked };
    if (model && asked !== "rollback") body.model = model;
    if (await run("POST", "line/model", body, t("line.model_done", { action: t(`line.${asked}`) }))) {
      setAsked(null);
      onDone();
    }
  };
  return html`<${Card} title=${t("line.model")} actions=${html`<${Locked} role="engineer" />`}>
    ${data.models.map(
      (one) => html`<div class="stack">
        <div class="row"><strong>${one.model}</strong><span class=${`tag ${one.phase === "active" ? "good" : ""}`}>${t(`line.phase.${one.phase}`)}</span>${one.share !== null && html`<span class="muted">${percent(one.share, 0)} ${t("common.since", { time: moment(one.since) })}</span>`}<span class="muted">${one.sha256.slice(0, 12)}</span></div>
        <${Facts} rows=${[
          [t("line.trained"), day(one.created_at)],
          ...ratesOf(one.rates).map(([name, rate]) => [t(`quality.${name}`), `${percent(rate.estimate)} (${percent(rate.low)} – ${percent(rate.high)}), n ${rate.n}`]),
        ]} />
        ${one.limits.length > 0 && html`<details><summary>${t("line.limits")}</summary><ul>${one.limits.map((limit) => html`<li>${limit}</li>`)}</ul></details>`}
      </div>`,
    )}
    <div class="row release">
          <label class="field">${t("line.model_id")}<select value=${model} onChange=${(event) => setModel(event.target.value)}><option value="">–</option>
            ${data.available.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
          ${["shadow", "canary", "promote", "rollback"].map((action) => html`<button disabled=${!allowed || busy || (action !== "rollback" && !model)} class=${action === "promote" ? "primary" : ""} onClick=${() => setAsked(action)}>${t(`line.${action}`)}</button>`)}
        </div>
    ${asked && html`<${Dialog} title=${t("line.model_title", { action: t(`line.${asked}`), model })} onClose=${() => setAsked(null)}>
      <div class="form"><div class="row"><button onClick=${() => setAsked(null)}>${t("common.cancel")}</button><button class="primary" disabled=${busy} onClick=${go}>${t(`line.${asked}`)}</button></div></div></${Dialog}>`}
  </${Card}>`;
}

function Challenges({ data, onDone }) {
  const [run, busy] = useAction();
  const send = async (id) => (await run("POST", "line/challenge", { challenge_id: id }, t("line.challenge_done", { id }))) && onDone();
  return html`<${Card} title=${t("line.challenges")} actions=${html`<${Locked} role="operator" />`}>
    ${data.challenges.length === 0
      ? html`<p class="muted">${t("line.no_challenges")}</p>`
      : html`<div class="scroll-x" tabindex="0"><table><thead><tr><th>${t("live.part")}</th><th>${t("label.type")}</th><th>${t("line.last_used")}</th><th></th></tr></thead><tbody>
          ${data.challenges.map(
            (part) => html`<tr key=${part.challenge_id}><td><strong>${part.challenge_id}</strong><div class="muted">${part.part_id}</div></td><td>${part.defect_type} · ${part.severity}</td>
              <td>${part.due && html`<span class="tag open">${t("line.due")}</span> `}${part.last_used ? moment(part.last_used) : t("line.never")}</td>
              <td><button disabled=${busy || !may("operator") || !data.challenge_served} onClick=${() => send(part.challenge_id)}>${t("line.challenge_run")}</button></td></tr>`,
          )}</tbody></table></div>`}
  </${Card}>`;
}

export function Recent({ entries }) {
  return html`<${Card} title=${t("line.recent")}>
    <div class="scroll-x" tabindex="0"><table><thead><tr><th>${t("line.when")}</th><th>${t("line.who")}</th><th>${t("line.what")}</th><th>${t("line.outcome")}</th></tr></thead>
      <tbody>${entries.map(
        (entry) => html`<tr><td class="number" title=${entry.at}>${time(entry.at)}</td><td>${entry.who} <span class="muted">${entry.via}</span></td>
          <td>${entry.action} <span class="muted">${Object.entries(entry.detail).filter(([key]) => key !== "address").map(([key, value]) => `${key} ${value}`).join(", ").slice(0, 80)}</span></td>
          <td class=${entry.outcome === "done" ? "" : "verdict ng"}>${entry.outcome.slice(0, 70)}</td></tr>`,
      )}</tbody></table></div>
    ${entries.length === 0 && html`<p class="muted">${t("common.none")}</p>`}
  </${Card}>`;
}
