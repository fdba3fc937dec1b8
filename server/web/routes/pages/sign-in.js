"use strict";

// The token lives in the page only: closing or reloading it signs out.
function onSignIn(use) {
  const form = document.getElementById("sign-in");
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
