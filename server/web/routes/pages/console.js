"use strict";

let token = null;
const $ = (id) => document.getElementById(id);

async function showHealth() {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const health = await (await fetch("/health/ready", { headers })).json();
  const reasons = Object.entries(health.reasons ?? {}).map(([pool, reason]) => `${pool}: ${reason}`);
  $("health").textContent = [health.status, ...reasons].join(" · ");
  $("health").className = health.status === "ready" ? "ready" : "failed";
}

async function showModels() {
  const reply = await fetch("/v1/models", { headers: { authorization: `Bearer ${token}` } });
  if (!reply.ok) return signOut();
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

function signOut() {
  token = null;
  $("models").hidden = true;
  $("sign-in").hidden = false;
}

async function refresh() {
  await showHealth();
  if (token) await showModels();
}

onSignIn((granted) => {
  token = granted;
  refresh();
});

refresh();
setInterval(refresh, 3000);
