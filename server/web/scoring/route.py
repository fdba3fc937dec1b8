"""The scoring route: it takes requests from the connection itself, because ASGI costs more than all the rest.

The way of a request is `Call` from top to bottom: path to target, token to principal, body as bytes (never parsed
here), one submit to the dispatcher, the worker's bytes back to the caller.
"""

from __future__ import annotations

import logging
import time

from auth.authenticator import Authenticator
from auth.limits.bounds import Bounds
from auth.limits.limiter import Limiter
from auth.principal import Principal
from server.config import Settings
from server.dispatch.dispatcher import Dispatcher, Refused, Scored
from server.dispatch.messages import Lane, Refusal, Request
from server.metrics import REMOTE, WebMetrics
from server.web import outcomes
from server.web.client_address import ClientAddresses
from server.web.dialects.dialect import Asked, Dialect
from server.web.problems import Problem, ProblemError, problem
from server.web.request_id import RequestIds
from server.web.root_alias import aliases
from server.web.scoring import answer, extended, failures
from server.web.scoring.access_log import AccessLog
from server.web.scoring.caller import Caller
from server.web.scoring.incoming import ClientGone, Incoming
from server.web.scoring.negotiation import timeout_s
from server.web.scoring.relay import Relay
from server.web.scoring.serving import Serving
from server.web.scoring.target import Target, allowed, now
from server.wire.frames import Member, Pieces, ReplyCode

log = logging.getLogger(__name__)

UNKNOWN_ROUTE = "/v1/models/{model}/score"
"""The route's name in the metrics, where scoring failed before it was known whether there is such a model."""
GONE = "client_gone"
"""The code in metrics and log where no answer has one: the client hung up first."""


class ScoringRoute:
    """All scoring requests of a web process."""

    def __init__(
        self,
        settings: Settings,
        serving: Serving,
        relay: Relay,
        authenticator: Authenticator,
        metrics: WebMetrics,
        access_log: AccessLog,
        request_ids: RequestIds,
        limiter: Limiter,
    ) -> None:
        self.max_body_bytes = settings.max_body_bytes
        self.serving = serving
        self.relay = relay
        self.authenticator = authenticator
        self.addresses = ClientAddresses(settings.trusted_networks)
        self.metrics = metrics
        self.access_log = access_log
        self.request_ids = request_ids
        self.limiter = limiter
        self.aliases = aliases(settings.root_target)

    def leads(self, path: str) -> bool:
        """Whether requests for this path are scoring requests; there may be no such model."""
        return path in self.serving.targets or self.serving.dialects.leads(self.aliases.get(path, path))

    def begin(self, caller: Caller) -> Call:
        """Begin to answer a request, of which the head has come in."""
        call = Call(self, caller)
        call.begin()
        return call

    def too_large(self) -> Problem:
        """The answer to a body that is too large."""
        limit = f"{self.max_body_bytes / (1 << 20):g} MiB"
        return problem("body_too_large", f"The body is larger than {limit}. Send fewer rows per request.")


class Call:
    """One scoring request, from its head to the line in the access log. No method raises."""

    lane = Lane.LIVE
    __slots__ = (
        "_answered",
        "_asked",
        "_bounds",
        "_caller",
        "_deadline",
        "_incoming",
        "_parts",
        "_path",
        "_principal",
        "_request",
        "_request_id",
        "_route",
        "_scored",
        "_size",
        "_started",
        "_target",
        "_whole",
    )

    def __init__(self, route: ScoringRoute, caller: Caller) -> None:
        self._started = self._deadline = time.monotonic()
        self._route = route
        self._caller = caller
        self._request_id = route.request_ids.of(caller.headers)
        self._principal: Principal | None = None
        self._bounds: Bounds | None = None
        """What limits how much the caller may ask for, if anything does."""
        self._path, self._target = extended.led(route.serving.targets, route.aliases, caller)
        self._parts: list[bytes] = []
        self._size = 0
        self._incoming: Incoming | None = None
        """Where the body goes, if another server has the model."""
        self._request: Request | None = None
        self._scored: Scored | None = None
        self._whole = False
        self._answered = False

    # The request

    def begin(self) -> None:
        """The head has come in. A caller whose credential was recognised before goes on at once."""
        try:
            authenticator, address = self._route.authenticator, self._address
            authenticator.refuse_keys(self._caller.query, address)
            if (principal := authenticator.known(self._caller.headers, address)) is None:
                self._caller.pause()
                self._caller.run(self._recognise())
            else:
                self._admit(principal)
        except Exception as error:
            self._refuse(error)

    def part(self, data: bytes) -> None:
        """A part of the body has come in."""
        if self._answered:
            return
        self._size += len(data)
        if self._incoming is not None:
            self._incoming.put(data)
        elif self._size > self._route.max_body_bytes:
            self._refuse(ProblemError(self._route.too_large()))
        else:
            self._parts.append(data)

    def whole(self) -> None:
        """The body has come in, all of it."""
        self._whole = True
        if self._answered or self._principal is None:
            return
        if self._incoming is not None:
            self._incoming.end()
            return
        try:
            self._submit()
        except Exception as error:
            self._refuse(error)

    def gone(self) -> None:
        """The client has hung up."""
        if self._incoming is not None:
            self._incoming.lose()
        elif self._request is not None:
            assert self._target is not None and self._target.dispatcher is not None
            self._target.dispatcher.abandon(self._request)  # which calls `fail`
        else:
            self._account(GONE)

    async def _recognise(self) -> None:
        try:
            principal = await self._route.authenticator.recognise(self._caller.headers, self._address())
            if not self._answered:
                self._caller.resume()
                self._admit(principal)
        except BaseException as error:  # cancelled at the stop, too
            self._refuse(error)

    def _admit(self, principal: Principal) -> None:
        """Refuse what can be refused without the body."""
        route, caller = self._route, self._caller
        self._principal = principal
        caller.vouched()
        self._target = allowed(self._target, principal)
        target = self._checked_target()
        if caller.method != b"POST" and (said := extended.at_once(caller, target, self._request_id)):
            caller.reply(*said)
            self._account("ok")
            return
        self._deadline = self._started + timeout_s(caller.headers, target)
        if target.dispatcher is None:
            self._incoming = Incoming(caller, route.max_body_bytes, self._parts, self._whole)
            caller.run(self._forward(principal, target, self._incoming))
            return
        if route.limiter.on and (bounds := route.limiter.of(principal, target.asked)) is not None:
            self._bounds = bounds
            bounds.admit(time.monotonic())
        self._asked: Asked = target.dialect.negotiated(caller.headers, target.entry)
        if self._whole:
            self._submit()
        else:
            caller.go_on()

    def _checked_target(self) -> Target:
        target, caller, route = self._target, self._caller, self._route
        if target is None:
            unheard = ", ".join(route.serving.unheard())
            if unheard:
                told = f"There is no such model here. Another server, which may have it, cannot be reached: {unheard}."
                raise ProblemError(problem("remote_unavailable", told))
            raise ProblemError(problem("unknown_model"))
        if int(caller.headers.get(b"content-length", b"0")) > route.max_body_bytes:
            raise ProblemError(route.too_large())
        if target.fork is not None:
            target = self._target = target.fork.choose(caller.headers, self._request_id)
        return target

    def _submit(self) -> None:
        caller, principal = self._caller, self._principal
        target, dispatcher = self._current_target()
        assert principal is not None
        body = parts[0] if len(parts := self._parts) == 1 else Pieces(parts, self._size) if parts else b""
        entry = target.entry
        content, accept, encoding, parameters = self._asked
        if parameters is None:
            parameters = extended.parameters(caller, target)
        request = self._request = Request(
            pool=entry.pool,
            model=entry.name,
            model_key=entry.model_key,
            member=Member(body, content, accept, encoding, parameters, self._request_id.encode()),
            body_bytes=self._size,
            deadline=self._deadline,
            arrived=self._started,
            reply_to=self,
            pinned=target.pinned,
            principal=principal.name,
            lane=self.lane,
        )
        dispatcher.submit(request)

    def _current_target(self) -> tuple[Target, Dispatcher]:
        """Where to send the body, now that it is here."""
        assert self._target is not None
        target = self._target = now(self._route.serving.targets, self._path, self._target)
        assert target.dispatcher is not None
        return target, target.dispatcher

    async def _forward(self, principal: Principal, target: Target, incoming: Incoming) -> None:
        """Have the server answer that has the model."""
        caller = self._caller
        relayed = extended.relayed(principal, target, caller, self._request_id, self._deadline)
        try:
            self._account(await self._route.relay.forward(relayed, incoming, caller))
        except ClientGone:
            self._account(GONE)
        except BaseException as error:  # cancelled at the stop, too
            self._refuse(error)

    # The answer

    def scored(self, scored: Scored) -> None:
        """A worker has answered."""
        self._scored = scored
        try:
            if scored.result.code != ReplyCode.OK:
                raise ProblemError(outcomes.failed(scored, self._sees_details()))
            result, caller, asked = scored.result, self._caller, self._asked
            status, lines = extended.answered(scored, self._target, asked.accept, caller, self._request_id)
            if self._bounds is not None:
                lines += self._bounds.answered(result.rows, time.monotonic())
            caller.reply(status, answer.head(scored, lines, self._request_id.encode()), result.body)
        except Exception as error:
            self._refuse(error)
        else:
            self._account("ok" if status < 500 else "model_failed")

    def failed(self, error: Exception) -> None:
        """No worker will answer."""
        if isinstance(error, Refused) and error.refusal is Refusal.ABANDONED:
            self._account(GONE)
        else:
            self._refuse(error)

    def _dialect(self) -> Dialect:
        """The dialect in which the request is answered, also where the path leads nowhere."""
        target = self._target
        return self._route.serving.dialects.of(self._caller.path) if target is None else target.dialect

    def _sees_details(self) -> bool:
        principal, target = self._principal, self._target
        return principal is not None and target is not None and principal.may("details", target.asked)

    def _refuse(self, error: BaseException) -> None:
        """Answer with what went wrong, unless there is nobody to answer any more."""
        if self._answered:
            return
        said = failures.problem_of(error, self._request_id, self._route)
        code: str = said.code
        try:
            timeout_s = self._deadline - self._started
            status, head, body = extended.refusal(self._dialect(), said, self._caller, self._request_id, timeout_s)
            if self._bounds is not None:
                head += self._bounds.lines(time.monotonic())
            self._caller.reply(status, head, body)
        except Exception:  # half of an answer may be out: all that is left is to end it
            log.exception("an answer could not be written", extra={"request_id": self._request_id})
            self._caller.cut()
            code = "internal_error"
        self._account(code)

    def _address(self) -> str:
        return self._route.addresses.of(self._caller.client, self._caller.headers)

    def _account(self, code: str) -> None:
        """Count and log, once."""
        if self._answered:
            return
        self._answered = True
        try:
            self._count(code, time.monotonic() - self._started)
        except Exception:
            log.exception("a request could not be accounted for", extra={"request_id": self._request_id})

    def _count(self, code: str, seconds: float) -> None:
        """A model or version that does not exist makes no label and no line of its own."""
        route, scored, target = self._route, self._scored, self._target
        rows = scored.result.rows if scored is not None else 0
        entry = behind = None
        if target is not None and (behind := target.behind) is not None:
            route.serving.endpoint_metrics.answered(*behind, code)
        if target is not None and target.fork is None:
            entry = target.entry
            runtime = entry.runtime if target.dispatcher is not None else REMOTE
            route.metrics.answered(entry.name, entry.version, runtime, target.dialect.name, code, seconds, rows)
            if scored is not None:
                route.metrics.queued(entry.name, entry.runtime, scored.queue_s)
        elif code == "internal_error":
            route.metrics.route_failed(UNKNOWN_ROUTE)
        if route.serving.collector.on and self._request is not None:
            route.serving.collector.add(self._request, behind, code, scored)
        by, dialect = (self._principal, self._address()), self._dialect().name
        route.access_log.write(self._request_id, *by, entry, behind, dialect, code, rows, seconds, scored)
