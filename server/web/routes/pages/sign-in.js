"use strict";

// The token lives in the page only: closing or reloading it signs out. Who signs in with an identity provider has a
// cookie instead, which no script can read and which the browser sends by itself.
function onSignIn(use) {
  const form = document.getElementById("sign-in");
  offerProviders(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(form));
    fields.set("grant_type", "password");
    const reply = await fetch("/auth/token", { method: "POST", body: fields });
    const answer = await reply.json();
    document.getElementById("refused").textContent = reply.ok ? "" : answer.error_description;
    if (!reply.ok) return;
    form.reset();
    form.hidden = true;
    use(answer.access_token);
  });
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
