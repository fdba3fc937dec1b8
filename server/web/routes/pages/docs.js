"use strict";

async function showApi() {
  const reply = await fetch("/openapi.json");
  document.getElementById("sign-in").hidden = reply.ok;
  if (!reply.ok) return;
  SwaggerUIBundle({
    spec: await reply.json(),
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

onSignIn(showApi);
showApi();
