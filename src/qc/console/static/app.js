// The frame around the pages: navigation, state of the line, who is logged in.

import { html, render, useEffect, useState } from "./vendor/htm-preact-3.1.1.js";
import { cameFrom, follow, lastNews, loadSession, note, notes, session, stale, status, useSignal } from "./store.js";
import { Icon, t, time } from "./ui.js";
import { Live } from "./pages/live.js";

const PAGES = ["live", "label", "quality", "alarms", "line", "browse"];
const LOADERS = {
  label: () => import("./pages/label.js").then((module) => module.Label),
  quality: () => import("./pages/quality.js").then((module) => module.Quality),
  alarms: () => import("./pages/alarms.js").then((module) => module.Alarms),
  line: () => import("./pages/line.js").then((module) => module.Line),
  browse: () => import("./pages/browse.js").then((module) => module.Browse),
  account: () => import("./pages/account.js").then((module) => module.Account),
};
const loaded = { live: Live };

function useRoute() {
  const read = () => {
    const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    if (page in LOADERS && page !== "account") cameFrom.hash = location.hash;
    return { page: page in LOADERS ? page : "live", argument: decodeURIComponent(rest.join("/")) };
  };
  const [route, setRoute] = useState(read());
  useEffect(() => {
    const listener = () => setRoute(read());
    window.addEventListener("hashchange", listener);
    return () => window.removeEventListener("hashchange", listener);
  }, []);
  return route;
}

function Page({ name, argument }) {
  const [, setReady] = useState("");
  useEffect(() => {
    if (!loaded[name])
      LOADERS[name]().then((component) => {
        loaded[name] = component;
        setReady(name);
      });
  }, [name]);
  const Component = loaded[name];
  return Component ? html`<${Component} argument=${argument} />` : html`<p class="loading">${t("common.loading")}</p>`;
}

function Nav({ page }) {
  const now = useSignal(status);
  const me = useSignal(session);
  const badges = { alarms: now?.open_alarms, label: me?.user ? now?.tickets_open : 0 };
  return html`<nav class="rail" aria-label=${t("nav.title")}>
    <a class="brand" href="#/live" aria-label="qc"><img src="/static/icon.svg" alt="" width="36" height="36" /></a>
    ${PAGES.map(
      (name) => html`<a key=${name} href=${`#/${name}`} class=${page === name ? "current" : ""} aria-current=${page === name ? "page" : undefined}>
        <${Icon} name=${name} size=${24} /><span>${t(`nav.${name}`)}</span>
        ${badges[name] > 0 && html`<span class=${`badge ${name}`}>${badges[name] > 99 ? "99+" : badges[name]}</span>`}
      </a>`,
    )}
    ${me?.broker_websocket_url && html`<a href="/edges"><${Icon} name="edges" size=${24} /><span>${t("nav.edges")}</span></a>`}
  </nav>`;
}

function Top() {
  const now = useSignal(status);
  const me = useSignal(session);
  const old = useSignal(stale);
  const state = old ? "stale" : (now?.state ?? "stale");
  return html`<header class="top">
    <div class="where"><strong>${me?.edge ?? ""}</strong>${now && html`<span class="muted">${now.variant}</span>`}</div>
    <div class=${`pill state-${state}`} role="status"><span class="dot"></span>${t(`state.${state}`)}</div>
    ${now && !now.mqtt.connected && !old && html`<div class="pill warn"><${Icon} name="broker" size=${16} />MQTT: ${t("live.disconnected")}</div>`}
    <span class="space"></span>
    <${Clock} />
    <button class="quiet square" onClick=${switchTheme} aria-label=${t("common.theme")}><${Icon} name="moon" size=${20} /></button>
    <a class="who" href="#/account"><${Icon} name="account" size=${20} /><span>${me?.user || t("account.log_in")}</span></a>
  </header>`;
}

function Clock() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<time class="clock">${time(new Date().toISOString())}</time>`;
}

function switchTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("qc-theme", root.dataset.theme);
  } catch {
    note(t("common.theme"));
  }
  window.dispatchEvent(new Event("qc-theme"));
}

function Banner() {
  const now = useSignal(status);
  const old = useSignal(stale);
  if (old) return html`<div class="banner bad" role="alert">${t("live.stale", { time: time(new Date(lastNews.get()).toISOString()) })}</div>`;
  if (!now) return null;
  if (now.state !== "running") return html`<div class=${`banner ${now.state === "paused" ? "calm" : "bad"}`} role="alert">${t(`live.${now.state}`)}</div>`;
  if (now.level !== "none") return html`<div class="banner warn" role="alert">${t("live.level", { level: t(`alarms.actions.${now.level}`), reason: now.level_reason })}</div>`;
  return null;
}

function App() {
  const route = useRoute();
  const me = useSignal(session);
  const old = useSignal(stale);
  const said = useSignal(notes);
  useEffect(() => {
    document.title = `${t(`nav.${route.page}`)} · qc`;
    document.getElementById("content")?.scrollTo?.(0, 0);
  }, [route.page]);
  if (!me) return html`<p class="loading">${t("common.loading")}</p>`;
  const locked = me.role === null;
  return html`<a class="skip" href="#content" onClick=${(event) => {
      event.preventDefault();
      document.getElementById("content").focus();
    }}>${t("common.skip")}</a>
    <div class=${`frame ${old ? "stale" : ""}`}>
      <${Nav} page=${route.page} />
      <div class="body">
        <${Top} />
        <${Banner} />
        <main id="content" class=${`page page-${locked ? "account" : route.page}`} tabindex="-1">
          <h1 class="sr">${t(`nav.${locked ? "account" : route.page}`)}</h1>
          <${Page} name=${locked ? "account" : route.page} argument=${route.argument} />
        </main>
      </div>
    </div>
    <div class="notes" aria-live="polite">${said.map((entry) => html`<div key=${entry.id} class=${`note ${entry.kind}`}>${entry.text}</div>`)}</div>`;
}

loadSession()
  .catch(() => setTimeout(() => location.reload(), 3000))
  .then(() => {
    let watching = false;
    const watch = (me) => {
      if (me && me.role !== null && !watching) {
        watching = true;
        follow();
      } else if (me && me.role === null) {
        watching = false;
      }
    };
    session.listen(watch);
    watch(session.get());
    render(html`<${App} />`, document.getElementById("app"));
  });
