// An identity provider on 127.0.0.1, in memory: serve.mjs ISSUER, whose path, if any, is where it is mounted.
//
// Its own pages sign anybody in, whose name is then the subject; `roles` and `groups` are what TEST_CLAIMS has for that
// name. POST /test/roll makes a new signing key in place of the old one.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import http from "node:http";
import Provider from "oidc-provider";

const issuer = process.argv[2];
const { callback, resource } = JSON.parse(process.env.TEST_SETTINGS);
const claims = JSON.parse(process.env.TEST_CLAIMS);

function provider() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
  const made = new Provider(issuer, {
    clients: [
      { client_id: "console", client_secret: "console-secret", redirect_uris: [callback], grant_types: ["authorization_code"] },
      { client_id: "batch", client_secret: "batch-secret", redirect_uris: [], response_types: [], grant_types: ["client_credentials"] },
    ],
    jwks: { keys: [key] },
    pkce: { required: () => true },
    claims: { openid: ["sub", "roles", "groups"], profile: ["name"] },
    conformIdTokenClaims: false,
    findAccount: async (_, name) => ({ accountId: name, claims: async () => ({ sub: name, ...claims[name] }) }),
    extraTokenClaims: async (_, token) => claims[token.accountId ?? token.clientId],
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "Models.Score", audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 600,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    cookies: { keys: ["only for tests"] },
  });
  return made.callback();
}

let answer = provider();
http
  .createServer((request, response) => {
    if (request.url !== "/test/roll") return answer(request, response);
    answer = provider();
    response.end();
  })
  .listen(Number(new URL(issuer).port), "127.0.0.1");
