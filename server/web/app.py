"""The web process: builds every part once, hands them to each other, and answers for their life and death."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from auth import routes as auth_routes
from auth.endpoint_keys import Keyed
from auth.setup import Auth, open_auth
from server import logs
from server.config import Settings
from server.config_handed import RUN_DIR, SETTINGS_FILE, handed
from server.machine.memory import QuietHoard
from server.metrics import WebMetrics
from server.web.dialects import (
    azureml_routes,
    endpoint_routes,
    mlflow_routes,
    open_inference_routes,
    root_routes,
)
from server.web.dialects.azureml import AZUREML
from server.web.dialects.dialect import Dialects
from server.web.dialects.kserve_v1 import KSERVE_V1
from server.web.dialects.mlflow import MLFLOW
from server.web.dialects.mls import batch as mls_batch
from server.web.dialects.mls import login as mls_login
from server.web.dialects.mls import pools as mls_pools
from server.web.dialects.mls import services as mls_services
from server.web.dialects.mls import swagger as mls_swagger
from server.web.dialects.mls.executions import Executions
from server.web.dialects.mls.scoring import MLS
from server.web.dialects.native import NATIVE
from server.web.dialects.open_inference import OPEN_INFERENCE
from server.web.dialects.vetiver import VETIVER, VETIVER_PYTHON
from server.web.prefix import Prefixed
from server.web.request_id import RequestIds
from server.web.root_alias import RootAlias, aliases
from server.web.routes import (
    comparison,
    endpoint_credentials,
    endpoint_logs,
    endpoints,
    exception_handlers,
    health,
    models,
    openapi,
    pages,
    peers,
    publish,
    truth,
)
from server.web.scoring.access_log import AccessLog
from server.web.scoring.aside import Aside
from server.web.scoring.relay import Relay
from server.web.scoring.route import ScoringRoute
from server.web.scoring.serving import Serving
from server.wire.snapshot import EndpointState

log = logging.getLogger(__name__)

DIALECTS = Dialects(OPEN_INFERENCE, KSERVE_V1, VETIVER, VETIVER_PYTHON, MLFLOW, AZUREML, MLS, NATIVE)
"""Every contract that clients may speak."""
HOUSEKEEPING_EVERY_S = 0.25
ROUTERS = tuple(
    part.router
    for part in (
        auth_routes,
        health,
        models,
        publish,
        endpoints,
        comparison,
        truth,
        endpoint_credentials,
        endpoint_logs,
        peers,
        openapi,
        pages,
        open_inference_routes,
        endpoint_routes,
        azureml_routes,
        mlflow_routes,
        mls_login,
        mls_services,
        mls_swagger,
        mls_batch,
        mls_pools,
        root_routes,
    )
)
"""Every route beside scoring. Tests walk it: a route that is served is one whose callers were tried."""


class WebApp:
    """The application of one web process: scoring, and by ASGI everything else."""

    def __init__(self, settings: Settings, run_dir: Path) -> None:
        self.settings = settings
        self._run_dir = run_dir
        self.metrics = WebMetrics()
        self._serving = Serving(settings, self.metrics, DIALECTS, run_dir, self._tell_endpoints)
        self._auth: Auth = open_auth(
            settings.data,
            on_failure=self.metrics.auth_failure,
            accounts_file=settings.accounts,
            key_file=settings.token_key,
            identity_file=settings.identity,
            basic=settings.basic,
            passwords=settings.passwords == "on",
            buckets_file=run_dir / "buckets",
            database=settings.database,
            watched=True,
            endpoint_key=settings.endpoint_key,
        )
        self._relay = Relay(self._auth.relay_tokens.authorization)
        self._access_log = AccessLog()
        self._request_ids = RequestIds()
        self.scoring = ScoringRoute(
            settings,
            self._serving,
            self._relay,
            self._auth.authenticator,
            self.metrics,
            self._access_log,
            self._request_ids,
            self._auth.limiter,
        )
        """Scoring requests; connections hand them over without ASGI."""
        self._executions = Executions(run_dir / "batches", Aside(self.scoring).ask)
        self._app = RootAlias(_behind(settings.trusted_networks, self._fastapi()), aliases(settings.root_target))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream."""
        await self._app(scope, receive, send)

    def _fastapi(self) -> FastAPI:
        app = FastAPI(
            title="Tandem",
            lifespan=self._lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        app.state.auth = self._auth
        app.state.serving = self._serving
        app.state.executions = self._executions
        app.state.targets = lambda: [entry.name for entry in self._serving.snapshot.entries]
        app.state.settings = self.settings
        app.state.shows_all = self.settings.docs == "open"
        for router in ROUTERS:
            app.include_router(router)
        exception_handlers.install(
            app, self._request_ids, self.metrics, DIALECTS.refusal, DIALECTS.echoed, self._body_limit
        )
        return app

    def _body_limit(self, path: str) -> int:
        """The size of the largest body that a route takes."""
        if publish.takes(path):  # it knows who sends it before it reads
            return self.settings.max_body_bytes
        wanted = mls_batch.MAX_BODY_BYTES if mls_batch.takes(path) else exception_handlers.MAX_BODY_BYTES
        return min(wanted, max(self.settings.max_body_bytes, exception_handlers.MAX_BODY_BYTES))

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Connections are taken between the start and the end of this: not before there is a catalog."""
        following = asyncio.create_task(self._follow())
        await self._serving.switched.wait()
        keeping = asyncio.create_task(self._keep_house())
        providers = asyncio.create_task(self._auth.follow())
        gc.collect()
        gc.freeze()  # what was built at the start stays: the collector need not look at it again and again
        yield
        for task in (following, keeping, providers):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._executions.close()
        self._serving.close()
        self._relay.close()
        self.metrics.flush()
        self._serving.endpoint_metrics.flush()
        self._serving.collect_metrics.flush()
        self._serving.collector.mirror_metrics.flush()
        self._access_log.flush()
        self._auth.close()

    async def _follow(self) -> None:
        """Follow the supervisor. When that ends, so does this process: its port is needed by the next."""
        try:
            await self._serving.follow(self._run_dir / "hub.sock")
            log.error("the supervisor is gone")
        except OSError:
            log.error("the connection to the supervisor is lost")
        except Exception:
            log.exception("the supervisor cannot be followed")
        self._serving.switched.set()  # where it was not yet: the start has to end before the stop can begin
        signal.raise_signal(signal.SIGTERM)

    def _tell_endpoints(self, endpoints: Iterable[EndpointState]) -> None:
        """Know the keys of endpoints as they are from now on, and whoever showed one before no longer by it."""
        modes = {"key": True, "aml_token": False}
        keyed = (Keyed(e.name, e.key_generations, modes[e.auth_mode]) for e in endpoints if e.auth_mode in modes)
        if self._auth.endpoint_keys.tell(keyed):
            self._auth.authenticator.forget_if_changed()

    def _measure_accounts(self) -> None:
        self.metrics.accounts_away(self._auth.accounts.away_s())
        self.metrics.keys_ending(self._auth.ending.count)
        self.metrics.jwks_ages(self._auth.providers.ages() if self._auth.providers is not None else {})

    async def _keep_house(self) -> None:
        forget_if_changed = self._auth.authenticator.forget_if_changed
        tasks = (
            *(QuietHoard().look, forget_if_changed, self._auth.keep_books, self._measure_accounts),
            *(self._serving.gauges.measure, self.metrics.flush, self._serving.endpoint_metrics.flush),
            *(self._serving.collect_metrics.flush, self._serving.collector.mirror_metrics.flush),
        )
        while True:
            for task in tasks:
                try:
                    task()
                except Exception:  # the next round is another try; without one nothing would be counted any more
                    log.exception("a task of a web process failed", extra={"reason": task.__qualname__})
            await asyncio.sleep(HOUSEKEEPING_EVERY_S)


def _behind(proxies: list[str], app: ASGIApp) -> ASGIApp:
    """The application, told of the client that the nearest of these proxies was asked by, not of the proxy."""
    if not proxies:
        return app
    middleware: Any = ProxyHeadersMiddleware  # it is typed by uvicorn's own ASGI types, not Starlette's
    behind: ASGIApp = middleware(app, trusted_hosts=proxies)
    return Prefixed(proxies, behind)


def create_app() -> WebApp:
    """Make the application for gunicorn. The environment names the run folder, which has the settings."""
    run_dir = Path(os.environ[RUN_DIR])
    settings = handed((run_dir / SETTINGS_FILE).read_text())
    logs.configure(settings.log_level)
    return WebApp(settings, run_dir)
