// Logging in and out, the own password, and the list of users for admins.

import { html, useState } from "../vendor/htm-preact-3.1.1.js";
import { api, cameFrom, follow, loadSession, may, note, session, useApi, useSignal } from "../store.js";
import { Card, Facts, Icon, moment, t, useAction } from "../ui.js";

const values = (event) => {
  event.preventDefault();
  return Object.fromEntries(new FormData(event.target));
};

export function Account() {
  const me = useSignal(session);
  return html`<div class="columns">
    ${me.user ? html`<${Me} me=${me} />` : html`<${LogIn} me=${me} />`}
    ${me.user && html`<${Password} />`}
    ${may("admin") && html`<${Users} me=${me} />`}
  </div>`;
}

function LogIn({ me }) {
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    const body = values(event);
    setBusy(true);
    try {
      session.set(await api("POST", "session", body));
      follow();
      if (location.hash === "#/account") location.hash = cameFrom.hash;
    } catch (error) {
      note(error.message, "error");
    }
    setBusy(false);
  };
  return html`<${Card} title=${t("account.log_in")}>
    <form class="form" onSubmit=${submit}>
      <p class="muted">${t(me.role === null ? "account.needed" : "account.visitor")}</p>
      ${!me.has_users && html`<p class="advice">${t("account.no_users")}</p>`}
      <label class="field">${t("account.name")}<input name="name" autocomplete="username" required autofocus /></label>
      <label class="field">${t("account.password")}<input name="password" type="password" autocomplete="current-password" required /></label>
      <div class="row"><button class="primary" disabled=${busy}>${t("account.log_in")}</button></div>
      <p class="muted">${t("account.about", { version: me.version, edge: me.edge })}</p>
    </form>
  </${Card}>`;
}

function Me({ me }) {
  const leave = async () => {
    await api("DELETE", "session").catch(() => null);
    await loadSession();
  };
  return html`<${Card} title=${t("account.hello", { user: me.user })} actions=${html`<button onClick=${leave}>${t("account.log_out")}</button>`}>
    <${Facts} rows=${[[t("account.role"), t(`account.roles.${me.role}`)]]} />
    <p class="muted">${t("account.about", { version: me.version, edge: me.edge })}</p>
  </${Card}>`;
}

function Password() {
  const [run, busy] = useAction();
  const submit = async (event) => {
    const body = values(event);
    if (await run("POST", "session/password", body, t("account.changed"))) await loadSession();
  };
  return html`<${Card} title=${t("account.change")}>
    <form class="form" onSubmit=${submit}>
      <label class="field">${t("account.old")}<input name="old" type="password" autocomplete="current-password" required /></label>
      <label class="field">${t("account.new")}<input name="new" type="password" autocomplete="new-password" minlength="10" required /></label>
      <div class="row"><button disabled=${busy}>${t("account.change")}</button></div>
    </form>
  </${Card}>`;
}

function Users({ me }) {
  const { data, reload } = useApi("users");
  const [run, busy] = useAction();
  const add = async (event) => {
    const body = values(event);
    const form = event.target;
    if (await run("POST", "users", body, t("account.added", { name: body.name }))) {
      form.reset();
      reload();
    }
  };
  const remove = async (name) => {
    if (await run("DELETE", `users/${encodeURIComponent(name)}`, undefined, t("account.removed", { name }))) reload();
  };
  return html`<${Card} title=${t("account.users")}>
    <table><thead><tr><th>${t("account.name")}</th><th>${t("account.role")}</th><th></th><th></th></tr></thead>
      <tbody>${(data?.users ?? []).map(
        (user) => html`<tr key=${user.name}><td><strong>${user.name}</strong></td><td>${t(`account.roles.${user.role}`)}</td><td class="muted">${moment(user.created_at)}</td>
          <td>${user.name !== me.user && html`<button disabled=${busy} onClick=${() => remove(user.name)} aria-label=${`${t("account.remove")} ${user.name}`}><${Icon} name="close" size=${16} />${t("account.remove")}</button>`}</td></tr>`,
      )}</tbody></table>
    <form class="form" onSubmit=${add}>
      <h3>${t("account.add")}</h3>
      <label class="field">${t("account.name")}<input name="name" required maxlength="40" autocomplete="off" /></label>
      <label class="field">${t("account.role")}<select name="role">${["viewer", "operator", "engineer", "admin"].map((role) => html`<option value=${role} selected=${role === "operator"}>${t(`account.roles.${role}`)}</option>`)}</select></label>
      <label class="field">${t("account.password")}<input name="password" type="password" minlength="10" required autocomplete="new-password" /></label>
      <div class="row"><button class="primary" disabled=${busy}>${t("account.add")}</button></div>
    </form>
  </${Card}>`;
}
