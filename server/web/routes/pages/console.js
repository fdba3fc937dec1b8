"use strict";

let signedIn = false;
const $ = (id) => document.getElementById(id);

async function showHealth() {
  const health = await (await fetch("/health/ready")).json();
  const reasons = Object.entries(health.reasons ?? {}).map(([pool, reason]) => `${pool}: ${reason}`);
  $("health").textContent = [health.status, ...reasons].join(" · ");
  $("health").className = health.status === "ready" ? "ready" : "failed";
}

async function showModels() {
  const reply = await fetch("/v1/models");
  if (reply.status === 401) return showSignIn();
  if (!reply.ok) return;
  const rows = (await reply.json()).flatMap((m) => m.versions.map((v) => row(m.model, v)));
  $("models").tBodies[0].replaceChildren(...rows);
  $("models").hidden = false;
}

function row(model, version) {
  const tr = document.createElement("tr");
  const refusal = [version.code, version.reason].filter(Boolean).join(": ");  // scorers are told the code alone
  const warnings = (version.load_warnings ?? []).map((text) => `warning: ${text}`);
  const about = [refusal || version.description, ...warnings].filter(Boolean).join("\n");
  const runtime = version.remote ? `${version.runtime} on ${version.remote}` : version.runtime;
  for (const text of [model, version.version, version.state, runtime, version.model_class ?? "", about]) {
    tr.insertCell().textContent = text;
  }
  tr.cells[2].className = version.state;
  return tr;
}

function showSignIn() {
  signedIn = false;
  $("models").hidden = $("sign-out").hidden = true;
  $("sign-in").hidden = false;
}

function showSignedIn() {
  signedIn = true;
  $("sign-in").hidden = true;
  $("sign-out").hidden = false;
  return refresh();
}

async function signOut() {
  await fetch("/auth/session", { method: "DELETE" });
  showSignIn();
}

async function refresh() {
  await showHealth();
  if (signedIn) await showModels();
}

async function begin() {
  if ((await fetch("/auth/session")).ok) return showSignedIn();
  await refresh();
}

onSignIn(showSignedIn);
$("sign-out").addEventListener("click", signOut);
begin();
setInterval(refresh, 3000);
