"use strict";

async function showApi(token) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const reply = await fetch("/openapi.json", { headers });
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
    // Who signed in to see this page need not authorize again.
    requestInterceptor: (request) => {
      if (token && !request.headers.Authorization) request.headers.Authorization = headers.authorization;
      return request;
    },
  });
}

onSignIn(showApi);
showApi(null);
