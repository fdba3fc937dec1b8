"use strict";

// Who signs in has a cookie, which no script can read and which the browser sends by itself: no token is held here.
function onSignIn(use) {
  const form = document.getElementById("sign-in");
  offerProviders(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { username: name, password } = Object.fromEntries(new FormData(form));
    const reply = await send("POST", "/auth/session", { name, password });
    document.getElementById("refused").textContent = reply.ok ? "" : await refusal(reply);
    if (!reply.ok) return;
    form.reset();
    form.hidden = true;
    use();
  });
}

function send(method, path, content) {
  return fetch(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(content) });
}

async function refusal(reply) {
  if (reply.status === 401) return "The name or the password is not right.";
  const answer = await reply.json().catch(() => ({}));
  return answer.detail ?? `The server answered with ${reply.status}.`;
}

async function offerProviders(form) {
  const reply = await fetch("/auth/providers");
  if (!reply.ok) return;
  for (const { name, title } of await reply.json()) {
    const link = document.createElement("a");
    link.href = `/auth/oidc/${encodeURIComponent(name)}/start?next=${encodeURIComponent(location.pathname)}`;
    link.textContent = `Sign in with ${title}`;
    form.append(link);
  }
}
