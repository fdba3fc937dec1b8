"""An imitation of an identity provider on loopback: its discovery document, its keys, and tokens that it signs."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.auth.credentials.conftest import by_rsa, rsa_entry, rsa_key
from tests.auth.forged import Forger

IDENTITY = """
[idp]
issuer = "{issuer}"
audiences = ["tandem"]
map = {{ scorers = "scorer", bosses = "admin" }}
scopes = {{ "Models.Score" = ["list", "score"], "Accounts" = ["accounts"] }}
"""


class Provider:
    """The imitation: its discovery document and its keys."""

    def __init__(self) -> None:
        self.keys = [rsa_entry("one", rsa_key("one"))]
        self.asked: Counter[str] = Counter()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked[self.path] += 1
                described = {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"}
                body = json.dumps({"keys": provider.keys} if self.path == "/keys" else described).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, kid: str = "one", key: str = "", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": "tandem", "sub": "ann", "azp": "app", "scope": "Models.Score Accounts"}
        said |= {"roles": ["scorers"], "iat": now, "exp": now + 600} | claims
        sign = by_rsa(rsa_key(key or kid))
        return Forger({"alg": "RS256", "kid": kid}, said, sign, sign, now, 0).good
