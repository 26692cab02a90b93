// What the pages share: who is logged in, the API, and the live stream with its age.

import { useEffect, useState } from "./vendor/htm-preact-3.1.1.js";

const STALE_MS = 2500; // three seconds are promised; the check runs every 250 ms
const STRIP = 30;

function signal(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useSignal(source) {
  const [value, setValue] = useState(source.get());
  useEffect(() => {
    setValue(source.get());
    return source.listen(setValue);
  }, [source]);
  return value;
}

export const session = signal(null);
export const status = signal(null);
export const parts = signal([]);
export const stale = signal(false);
export const lastNews = signal(0);
export const notes = signal([]);
export const cameFrom = { hash: "#/live" }; // where the login page leads back to

const ORDER = ["viewer", "operator", "engineer", "admin"];

export function may(role) {
  const me = session.get();
  return Boolean(me?.user) && ORDER.indexOf(me.role) >= ORDER.indexOf(role);
}

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function api(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = session.get()?.csrf ?? "";
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
  });
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status === 401 && session.get()?.user) await loadSession();
  throw new ApiError(answer.status, content.error ?? "unknown", content.message ?? answer.statusText);
}

export async function loadSession() {
  session.set(await api("GET", "session"));
}

// Fetches when a dependency changes, and again every `everyMs`; keeps showing the last answer when one attempt fails.
export function useApi(path, everyMs = 0, deps = []) {
  const [state, setState] = useState({ data: null, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    let current = true;
    const load = () =>
      api("GET", path)
        .then((data) => current && setState({ data, error: null }))
        .catch((error) => current && setState((old) => ({ data: old.data, error })));
    load();
    const timer = everyMs ? setInterval(() => document.hidden || load(), everyMs) : null;
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [path, everyMs, round, ...deps]);
  return { ...state, reload: () => setRound((n) => n + 1) };
}

export function note(text, kind = "info") {
  const entry = { id: Math.random(), text, kind };
  notes.set([...notes.get(), entry].slice(-4));
  setTimeout(() => notes.set(notes.get().filter((other) => other !== entry)), kind === "error" ? 9000 : 4000);
}

let stream = null;

export function follow() {
  stream?.close();
  stream = new EventSource("/api/v1/live");
  const heard = () => {
    lastNews.set(Date.now());
    if (stale.get()) stale.set(false);
  };
  stream.addEventListener("parts", (event) => {
    const known = parts.get();
    const last = known.length ? known[known.length - 1].seq : 0;
    const fresh = JSON.parse(event.data);
    const restarted = fresh.length && fresh[fresh.length - 1].seq < last;
    parts.set([...(restarted ? [] : known), ...fresh.filter((part) => restarted || part.seq > last)].slice(-STRIP));
    heard();
  });
  stream.addEventListener("status", (event) => {
    status.set(JSON.parse(event.data));
    heard();
  });
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}

setInterval(() => {
  if (!stale.get() && lastNews.get() && Date.now() - lastNews.get() > STALE_MS) stale.set(true);
}, 250);
