"""HTTP/1.1 as Tandem speaks it: uvicorn's httptools protocol, with limits and with problem documents.

The parser has no limit of its own and takes no time into account; uvicorn answers what it cannot read in plain text
and cuts connections while their clients still send. Here a request is bounded before any route sees it (head, number
of headers, time, rate), its form has one reading only, and no reply is lost because of how a connection ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from server.web.connection.cycle import Cycle, asgi_cycle, asgi_scope
from server.web.connection.exchange import DirectRoute, Exchange
from server.web.connection.head import MALFORMED, MAX_HEAD_BYTES, MAX_HEADERS, HeadRefused, check, split
from server.web.connection.limits import LINGER_S, SPARE_HEADER_TIMEOUT_S, ConnectionLimits
from server.web.connection.patience import GRACE_S, Patience
from server.web.connection.transport import JoinedWrites
from server.web.problems import Code

log = logging.getLogger(__name__)

MAX_PIPELINED = 32
"""Requests that may wait behind another one on their connection; further ones are left unread, as HTTP allows."""


class _Enough(Exception):
    """No further request is taken from this connection: those that come are left unread."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    transport: JoinedWrites  # type: ignore[assignment]  # uvicorn needs no more of a transport than this has
    cycle: Cycle | Exchange  # type: ignore[assignment]  # an exchange is used in the ways of a cycle

    pipeline: deque[tuple[Cycle | Exchange, Callable[[Any], None]]]  # type: ignore[assignment]
    """Requests that wait behind another one, each with what begins it; the newest first."""
    on_gone: Callable[[], object] | None = None
    """Called once if the client hangs up while a request that set it is being answered; forgotten with the answer."""

    def __init__(
        self,
        limits: ConnectionLimits,
        direct: DirectRoute,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._direct = direct
        self._next: Exchange | None = None
        """An exchange whose turn it is. It begins when its request is whole, or when all that has come in is read."""
        self._spare = False
        self._vouched = False
        self._deaf = False
        """Set once everything that still comes in is to be thrown away."""
        self._last_words: bytes | None = None
        """A refusal that waits until the requests before it are answered."""
        self._requests = 0
        self._received = 0
        self._fed = 0
        self._request_ended_in_chunk = False
        """True if the chunk being parsed has the end of a request: its size then says nothing about the next head."""
        self._in_head = False
        self._head_bytes = 0
        self._idle_bytes = 0
        """Bytes received since the last byte of a body. It bounds trailers and chunk extensions, which have no end."""
        self._patience = Patience()

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport, self.loop)))
        self._spare = self._limits.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client hung up, or we did."""
        self._limits.closed(self)
        self.connections.discard(self)
        self.transport.lingers = False
        if self.cycle is not None:
            self.cycle.lose()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does: the parser holds this protocol
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()

    def vouched(self) -> None:
        """Note that a good token was shown on this connection: others are closed before it is."""
        if not self._vouched:
            self._vouched = True
            self._limits.vouched(self)

    def shutdown(self) -> None:
        """The process stops. A reply that is due says that it is the last; an idle connection gets a little time.

        A client that keeps its connection may be sending its next request at this very moment. It is answered.
        """
        self._patience.spent_s = 0.0
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def cut(self) -> None:
        """Close at once, whatever was to be said."""
        self.transport.abort()

    @property
    def answering(self) -> bool:
        """Whether an application works on a request of this connection."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.disconnected

    # Reading

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self._received += len(data)
        if not self._deaf:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        fed = self._fed = len(data)
        self._request_ended_in_chunk = False
        rest = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._stop_reading(error.__context__)
            return
        if self._next is not None:
            self._begin(self._next)
        if rest is not None:  # not within `except`: what is raised there would have the upgrade for its context
            self._read_plainly(rest)
            return
        if self._in_head:
            if not self._request_ended_in_chunk:
                self._head_bytes += fed
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse("headers_too_large")
        elif self.cycle is not None and self.cycle.more_body:
            self._idle_bytes += fed
            if self._idle_bytes > MAX_HEAD_BYTES:
                self._refuse("bad_request", MALFORMED)

    def _read_plainly(self, rest: bytes) -> None:
        """Read a request that asks for another protocol as if it did not: the parser would skip its body."""
        head = [b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)]
        head += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"".join(head) + b"\r\n")
        if rest and not self._deaf:
            self._feed(rest)

    def on_message_begin(self) -> None:
        """A request starts."""
        if len(self.pipeline) >= MAX_PIPELINED or self.transport.closed:
            raise _Enough
        self.url = b""
        self.headers = []
        self._requests += 1
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; or one trailer, which nobody may take for a header."""
        if not self._in_head:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise HeadRefused("headers_too_large")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: the application may start."""
        parser = self.parser
        version = parser.get_http_version()
        headers = check(parser, self.url, self.headers, self._head_bytes + self._fed)
        if parser.should_upgrade():
            return  # the parser stops now: see _read_plainly
        self._in_head = False
        self._idle_bytes = 0
        method = parser.get_method()
        path, raw_path, query = split(self.url)
        path = path if self._limits.meant is None else self._limits.meant(headers.get(b"host", b""), path)
        keep_alive = version != "1.0" and not self._spare and not self._limits.draining and parser.should_keep_alive()
        before = self.cycle
        waits = before is not None and not before.response_complete
        if waits:
            self.flow.pause_reading()
        if self._direct.leads(path) and not self._spare:
            exchange = Exchange(self, method, path, query, headers, version == "1.0", keep_alive)
            self.cycle = exchange
            if waits:
                self.pipeline.appendleft((exchange, self._begin))
            else:
                self._next = exchange
            return
        scope = asgi_scope(self, version, method, path, raw_path, query)
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        cycle = self.cycle = asgi_cycle(self, self._limits, scope, expects, keep_alive)
        turned_away = self._spare and not path.startswith("/health/")
        app = cast(ASGI3Application, self._limits.too_many_connections) if turned_away else self.app
        if waits:
            self.pipeline.appendleft((cycle, lambda cycle: self._start_asgi_task(cycle, app)))
        else:
            self._start_asgi_task(cycle, app)

    def _begin(self, exchange: Exchange) -> None:
        self._next = None
        exchange.begin(self._direct)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._idle_bytes = -self._fed
        self.cycle.feed(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._in_head:
            return  # it asked for another protocol: see _read_plainly
        self._request_ended_in_chunk = True
        answered = self.cycle.response_complete
        self.cycle.finish()
        if self._next is not None:
            self._begin(self._next)
        elif answered and self.transport.ended:
            self._hang_up()
            raise _Enough

    # Answering

    def on_response_complete(self) -> None:
        """A request is answered. Only now does the next one begin, even if it has come in already."""
        self.on_gone = None
        self._limits.answered(self)
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, begin = self.pipeline.pop()
            begin(cycle)
        elif self._last_words is not None:
            self._say(self._last_words)

    def _stop_reading(self, reason: BaseException | None) -> None:
        """The parser gave up: by its own rules, or because a callback told it to."""
        if isinstance(reason, HeadRefused):
            self._refuse(reason.code, reason.detail)
        elif isinstance(reason, _Enough):
            self._deaf = self.transport.lingers = True
            self.cycle.keep_alive = False
        else:
            ours = not isinstance(reason, httptools.HttpParserError | UnicodeError | None)
            self._refuse(*(("internal_error", None, reason) if ours else ("bad_request", MALFORMED)))

    def _refuse(self, code: Code, detail: str | None = None, error: BaseException | None = None) -> None:
        """Read no more. Answer the requests that are whole, then say why, then close."""
        self._deaf = True
        self._next = None
        headers = self.headers if self._in_head else ()
        status, head, body = self._limits.refusal(code, detail, headers, error)
        lines = [STATUS_LINE[status]]
        lines += [b"%b: %b\r\n" % pair for pair in (*self.server_state.default_headers, *head)]
        words = b"".join((*lines, b"\r\n", body))
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._say(words)
        elif not cycle.more_body or self._in_head:
            self._last_words = words
        elif self.pipeline:
            self.pipeline.popleft()
            self._last_words = words
        else:
            started = cycle.response_started
            cycle.lose()
            on_gone, self.on_gone = self.on_gone, None
            self._say(b"" if started else words)
            if on_gone is not None:
                on_gone()

    def _say(self, words: bytes) -> None:
        """Close with these words; whatever the client still sends is read away, or it might never see them."""
        if not self.transport.is_closing():
            self.transport.write(words)
            self.transport.lingers = True
            self.transport.close()

    def _hang_up(self) -> None:
        self.transport.lingers = False
        self.transport.close()

    # The sweep

    def look(self, passed_s: float) -> None:
        """See whether this connection takes longer than it may for what it does; called by the sweep."""
        phase = self._phase()
        progress = -self.transport.get_write_buffer_size() if phase == "reply" else self._received
        self._patience.look((phase, self._requests), progress, passed_s, LINGER_S if phase == "linger" else GRACE_S)
        self._judge(phase)

    def _phase(self) -> str:
        cycle = self.cycle
        if self.transport.get_write_buffer_size():
            return "reply"
        if self.transport.ended:
            return "linger"
        if self._last_words is None and self._in_head and not self.pipeline and not self.answering:
            return "head"
        if cycle is None:
            return "new"
        if cycle.more_body and not self.flow.read_paused:
            return "body"
        return "busy" if self.answering else "idle"

    def _judge(self, phase: str) -> None:
        limits = self._limits
        spent_s, impatient = self._patience.spent_s, self._patience.left_s <= 0
        match phase:
            case "new" if spent_s >= self._limited(LINGER_S if limits.draining else limits.header_timeout_s):
                self._hang_up()
            case "head" if spent_s >= self._limited(limits.header_timeout_s):
                self._refuse("request_timeout")
            case "body" if impatient or spent_s >= limits.body_timeout_s:
                self._refuse("request_timeout")
            case "idle" if spent_s >= (LINGER_S if limits.draining else limits.keepalive_s):
                self._hang_up()
            case "linger" if impatient or spent_s >= limits.body_timeout_s:
                self._hang_up()
            case "reply" if impatient:
                self.cut()

    def _limited(self, seconds: float) -> float:
        return min(seconds, SPARE_HEADER_TIMEOUT_S) if self._spare else seconds
