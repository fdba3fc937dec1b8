"use strict";

let headers = null; // of who is signed in; without any, it is the cookie that says who
const $ = (id) => document.getElementById(id);

async function showHealth() {
  const health = await (await fetch("/health/ready", { headers: headers ?? {} })).json();
  const reasons = Object.entries(health.reasons ?? {}).map(([pool, reason]) => `${pool}: ${reason}`);
  $("health").textContent = [health.status, ...reasons].join(" · ");
  $("health").className = health.status === "ready" ? "ready" : "failed";
}

async function showModels() {
  const reply = await fetch("/v1/models", { headers });
  if (!reply.ok) return showSignIn();
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
  headers = null;
  $("models").hidden = $("sign-out").hidden = true;
  $("sign-in").hidden = false;
}

function showSignedIn(with_headers) {
  headers = with_headers;
  $("sign-in").hidden = true;
  $("sign-out").hidden = false;
  return refresh();
}

async function signOut() {
  await fetch("/auth/session", { method: "DELETE", headers });
  showSignIn();
}

async function refresh() {
  await showHealth();
  if (headers) await showModels();
}

async function begin() {
  if ((await fetch("/auth/me")).ok) return showSignedIn({});
  await refresh();
}

onSignIn((token) => showSignedIn({ authorization: `Bearer ${token}` }));
$("sign-out").addEventListener("click", signOut);
begin();
setInterval(refresh, 3000);
