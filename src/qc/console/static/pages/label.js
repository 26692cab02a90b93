// Labelling: one part at a time, blind, by keyboard; the next picture is there before it is needed.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.js";
import { api, may, note, session, useApi, useSignal } from "../store.js";
import { Boxes, Card, count, Empty, Facts, Icon, t, useKeys } from "../ui.js";

const TYPES_KEY = "qc-defect-types";

export function Label() {
  useSignal(session);
  if (!may("operator"))
    return html`<${Empty} title=${t("label.login")} icon="label"><a href="#/account">${t("account.log_in")}</a></${Empty}>`;
  return html`<${Desk} />`;
}

function usedTypes() {
  try {
    return JSON.parse(localStorage.getItem(TYPES_KEY)) ?? [];
  } catch {
    return [];
  }
}

function Desk() {
  const [queue, setQueue] = useState(null);
  const [again, setAgain] = useState(null); // the ticket that is answered again, with the label it corrects
  const [type, setType] = useState("");
  const [recent, setRecent] = useState(usedTypes());
  const [boxes, setBoxes] = useState([]);
  const [marking, setMarking] = useState(false);
  const last = useRef(null);
  const began = useRef(performance.now());
  const busy = useRef(false);
  const done = useRef(new Set()); // an answer may overtake the list of tickets that was asked for before it
  const { data: progress, reload } = useApi("labels/progress", 10000);
  const types = progress?.defect_types.length ? progress.defect_types : recent;
  const ticket = again?.ticket ?? queue?.[0];

  const fetchNext = async () => {
    try {
      const { tickets } = await api("POST", "labels/next", { count: 3 });
      // Only appended: the part that somebody is looking at must not change under their fingers.
      setQueue((now) => {
        const kept = now ?? [];
        const known = new Set(kept.map((one) => one.ticket_id));
        return [...kept, ...tickets.filter((one) => !known.has(one.ticket_id) && !done.current.has(one.ticket_id))];
      });
      for (const next of tickets.slice(1)) new Image().src = next.image;
    } catch (error) {
      note(error.message, "error");
    }
  };
  useEffect(() => {
    fetchNext();
  }, []);
  useEffect(() => {
    if (queue?.length) return undefined;
    const timer = setInterval(fetchNext, 4000);
    return () => clearInterval(timer);
  }, [queue?.length]);
  useEffect(() => {
    began.current = performance.now();
    setBoxes([]);
    setMarking(false);
    setType("");
  }, [ticket?.ticket_id]);

  const answer = async (truth, chosen = type) => {
    if (!ticket || busy.current) return;
    busy.current = true;
    done.current.add(ticket.ticket_id);
    const body = { ticket_id: ticket.ticket_id, truth, seconds_spent: Math.round((performance.now() - began.current) / 100) / 10 };
    if (truth === "defect" && chosen.trim()) body.defect_type = chosen.trim();
    if (truth === "defect" && boxes.length) body.boxes = boxes;
    if (again) body.corrects = again.label_id;
    try {
      const stored = await api("POST", "labels", body);
      last.current = { ticket, label_id: stored.label_id };
      if (body.defect_type && !progress?.defect_types.length) {
        const kept = [body.defect_type, ...recent.filter((name) => name !== body.defect_type)].slice(0, 9);
        setRecent(kept);
        localStorage.setItem(TYPES_KEY, JSON.stringify(kept));
      }
      note(t("label.saved", { truth: t(`label.${truth}`) }));
      if (again) setAgain(null);
      else setQueue((all) => all.filter((one) => one.ticket_id !== ticket.ticket_id));
      reload();
    } catch (error) {
      const refused = error.status >= 400 && error.status < 500;
      note(error.code === "answered" || error.code === "ticket_expired" ? t("label.expired") : error.message, "error");
      if (!refused) done.current.delete(ticket.ticket_id); // the edge was not reached: the part stays, to be answered again
      else if (again) setAgain(null);
      else setQueue((all) => all.filter((one) => one.ticket_id !== ticket.ticket_id));
    }
    busy.current = false;
    fetchNext();
  };
  const undo = () => {
    if (!last.current) return;
    setAgain(last.current);
    last.current = null;
    note(t("label.undone"));
  };
  const keys = { g: () => answer("good"), d: () => answer("defect"), u: () => answer("unsure"), z: undo, b: () => setMarking((on) => !on) };
  types.slice(0, 9).forEach((name, index) => (keys[String(index + 1)] = () => answer("defect", name)));
  useKeys(keys);

  return html`<div class="labelling">
    <section class="card desk" aria-label=${t("label.title")}>
      ${ticket
        ? html`<div class="desk-head">
              <strong data-ticket=${ticket.ticket_id}>${ticket.part_id}</strong><span class="muted">${ticket.variant} · ${ticket.camera} · ${ticket.window}</span>
              <span class="space"></span>
              <span class=${`round ${ticket.review_round > 1 ? "again" : ""}`}>${t(`label.round.${ticket.review_round}`)}</span>
            </div>
            <${Viewer} key=${ticket.ticket_id} source=${ticket.image} alt=${t("common.picture_of", { part: ticket.part_id })} marking=${marking} boxes=${boxes}
              onBox=${(box) => setBoxes([...boxes, box].slice(-20))} />
            <div class="answers">
              <button class="good" onClick=${() => answer("good")}>${t("label.good")}<kbd>G</kbd></button>
              <button class="defect" onClick=${() => answer("defect")}>${t("label.defect")}<kbd>D</kbd></button>
              <button onClick=${() => answer("unsure")}>${t("label.unsure")}<kbd>U</kbd></button>
            </div>`
        : queue && html`<${Empty} title=${t("label.empty")} icon="label">${t("label.empty_help")}</${Empty}>`}
    </section>
    <div class="stack">
      <${Card} title=${t("label.progress")}>
        ${progress && html`<div class="stack">
          <div class="bar" role="progressbar" aria-label=${t("label.progress")} aria-valuemin="0" aria-valuemax=${Math.max(progress.asked, 1)} aria-valuenow=${progress.answered}>
            <span style=${{ width: `${(100 * progress.answered) / Math.max(progress.asked, 1)}%` }}></span></div>
          <${Facts} rows=${[
            [t("label.answered", { answered: count(progress.answered), asked: count(progress.asked) }), ""],
            [t("label.planned"), count(progress.planned)],
            [t("label.waiting"), html`<span data-waiting>${count(progress.waiting)}</span>`],
            [t("label.mine"), count(progress.mine)],
            [t("label.median"), progress.median_seconds ?? "–"],
          ]} /></div>`}
      </${Card}>
      <${Card} title=${t("label.type")}>
        <div class="types">
          <label class="field">${t("label.type_help")}<input value=${type} maxlength="100" onInput=${(event) => setType(event.target.value)}
            onKeyDown=${(event) => event.key === "Enter" && answer("defect")} disabled=${!ticket} /></label>
          ${types.slice(0, 9).map((name, index) => html`<button key=${name} onClick=${() => answer("defect", name)} disabled=${!ticket}><kbd>${index + 1}</kbd>${name}</button>`)}
        </div>
      </${Card}>
      <${Card}>
        <div class="stack">
          <div class="row">
            <button aria-pressed=${marking} onClick=${() => setMarking(!marking)} disabled=${!ticket} title=${t("label.box_help")}><${Icon} name="box" size=${18} />${t("label.box")}</button>
            ${boxes.length > 0 && html`<button onClick=${() => setBoxes([])}>${t("label.clear_boxes")}</button>`}
            <button onClick=${undo} disabled=${!last.current}><${Icon} name="undo" size=${18} />${t("label.undo")}</button>
          </div>
          <p class="muted">${t("label.keys")}</p><p class="muted">${t("label.blind")}</p>
        </div>
      </${Card}>
    </div>
  </div>`;
}

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// A picture to zoom (wheel, pinch, keys) and pan (drag, arrows); in marking mode a drag draws a box.
function Viewer({ source, alt, marking, boxes, onBox }) {
  const frame = useRef(null);
  const [shape, setShape] = useState(null);
  const [view, setView] = useState({ scale: 1, x: 0, y: 0 });
  const [draft, setDraft] = useState(null);
  const [missing, setMissing] = useState(false);
  const pointers = useRef(new Map());
  const start = useRef(null);

  const zoom = (factor, cx, cy) =>
    setView((old) => {
      const { width, height } = frame.current.getBoundingClientRect();
      const scale = clamp(old.scale * factor, 1, 16);
      const k = scale / old.scale;
      const x = clamp((cx ?? width / 2) * (1 - k) + old.x * k, width * (1 - scale), 0);
      const y = clamp((cy ?? height / 2) * (1 - k) + old.y * k, height * (1 - scale), 0);
      return { scale, x, y };
    });
  const pan = (dx, dy) =>
    setView((old) => {
      const { width, height } = frame.current.getBoundingClientRect();
      return { ...old, x: clamp(old.x + dx, width * (1 - old.scale), 0), y: clamp(old.y + dy, height * (1 - old.scale), 0) };
    });
  const fit = () => setView({ scale: 1, x: 0, y: 0 });
  useKeys({ "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit, ArrowLeft: () => pan(80, 0), ArrowRight: () => pan(-80, 0), ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80) });
  useEffect(() => {
    const element = frame.current;
    const wheel = (event) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, []);

  // Pointer position relative to the picture, in [0, 1].
  const place = (event) => {
    const box = frame.current.getBoundingClientRect();
    const fitted = Math.min(box.width / shape[0], box.height / shape[1]);
    const [w, h] = [shape[0] * fitted, shape[1] * fitted];
    const x = (event.clientX - box.left - view.x) / view.scale - (box.width - w) / 2;
    const y = (event.clientY - box.top - view.y) / view.scale - (box.height - h) / 2;
    return [clamp(x / w, 0, 1), clamp(y / h, 0, 1)];
  };
  const spread = () => {
    const [a, b] = [...pointers.current.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  const down = (event) => {
    if (event.target.closest("button")) return;
    frame.current.setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, event);
    start.current = marking && shape ? place(event) : null;
  };
  const move = (event) => {
    const before = pointers.current.get(event.pointerId);
    if (!before) return;
    if (start.current) {
      const [x, y] = place(event);
      const [sx, sy] = start.current;
      setDraft([Math.min(x, sx), Math.min(y, sy), Math.abs(x - sx), Math.abs(y - sy)]);
    } else if (pointers.current.size === 2) {
      const was = spread();
      pointers.current.set(event.pointerId, event);
      zoom(spread() / Math.max(1, was));
      return;
    } else pan(event.clientX - before.clientX, event.clientY - before.clientY);
    pointers.current.set(event.pointerId, event);
  };
  const up = (event) => {
    pointers.current.delete(event.pointerId);
    if (draft && draft[2] > 0.004 && draft[3] > 0.004) onBox(draft);
    start.current = null;
    setDraft(null);
  };
  const shown = draft ? [...boxes, draft] : boxes;
  return html`<div ref=${frame} class=${`viewer ${marking ? "marking" : ""}`} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up}>
    <div class="canvas" style=${{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}>
      <div class="picture"><img src=${source} alt=${missing ? "" : alt} draggable=${false} onError=${() => setMissing(true)} onLoad=${(event) => setShape([event.target.naturalWidth, event.target.naturalHeight])} />
        ${shape && shown.length > 0 && html`<${Boxes} shape=${shape} boxes=${shown} />`}</div>
    </div>
    ${missing && html`<div class="no-picture"><${Icon} name="camera" size=${40} />${t("label.picture_later")}</div>`}
    <div class="tools">
      <button class="square" onClick=${() => zoom(1.4)} aria-label=${t("label.zoom_in")}><${Icon} name="plus" size=${18} /></button>
      <button class="square" onClick=${() => zoom(1 / 1.4)} aria-label=${t("label.zoom_out")}><${Icon} name="minus" size=${18} /></button>
      <button class="square" onClick=${fit} aria-label=${t("label.fit")}><${Icon} name="fit" size=${18} /></button>
    </div>
  </div>`;
}
