"""HTTP/1.1 as Tandem speaks it: uvicorn's httptools protocol, with limits and with problem documents.

The parser has no limit of its own and takes no time into account; uvicorn answers what it cannot read in plain text
and cuts connections while their clients still send. Here a request is bounded before any route sees it (head, number
of headers, time, rate), its form has one reading only, and no reply is lost because of how a connection ends.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from server.web.connection.cycle import Cycle
from server.web.connection.limits import LINGER_S, SPARE_HEADER_TIMEOUT_S, ConnectionLimits
from server.web.connection.patience import GRACE_S, Patience
from server.web.connection.transport import JoinedWrites
from server.web.problems import Code

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 100
MAX_PIPELINED = 32
"""Requests that may wait behind another one on their connection; further ones are left unread, as HTTP allows."""
HIGH_WATER_BYTES = 1 << 20
"""Of a body that the application has not taken. uvicorn stops at 64 KiB: 160 stops for 10 MB."""

ONCE = (
    *(b"host", b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key"),
    *(b"content-type", b"content-encoding", b"content-length", b"transfer-encoding"),
)
"""Headers whose repetition two readers could understand in two ways."""
_ENCODED_SLASH = re.compile("%2f|%5c", re.IGNORECASE)
MALFORMED = "This is not a request in valid HTTP/1.1."


class _Refused(Exception):
    """The request is not read any further and gets this answer."""

    def __init__(self, code: Code, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class _Enough(Exception):
    """No further request is taken from this connection: those that come are left unread."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    transport: JoinedWrites  # type: ignore[assignment]  # uvicorn needs no more of a transport than this has
    cycle: Cycle

    on_gone: Callable[[], object] | None = None
    """Called once if the client hangs up while a request that set it is being answered; forgotten with the answer."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._spare = False
        self._deaf = False
        """Whatever else comes in is thrown away."""
        self._last_words: bytes | None = None
        """A refusal that waits until the requests before it are answered."""
        self._requests = 0
        self._received = 0
        self._fed = 0
        self._fed_requests = False
        """The bytes being fed hold the end of one request, and so not only the head that comes after it."""
        self._in_head = False
        self._head_bytes = 0
        self._idle_bytes = 0
        """Bytes since the last that belonged to a body: endless trailers and chunk extensions are neither."""
        self._patience = Patience()

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport, self.loop)))
        self._spare = self._limits.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client hung up, or we did."""
        self._limits.closed(self)
        self.transport.lingers = False
        super().connection_lost(exc)
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()

    def vouched(self) -> None:
        """A good token was shown on this connection: others make room before it does."""
        self._limits.vouched(self)

    def shutdown(self) -> None:
        """The process stops. A reply that is due says that it is the last; an idle connection gets a little time.

        Whoever keeps a connection may be sending its next request at this very moment. It is answered.
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
        self._fed_requests = False
        rest = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._stop_reading(error.__context__)
            return
        if rest is not None:  # not within `except`: what is raised there would have the upgrade for its context
            self._read_plainly(rest)
            return
        if self._in_head:
            if not self._fed_requests:
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
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Enough
        super().on_message_begin()
        self.scope["tandem.caller"] = self  # type: ignore[typeddict-unknown-key]  # ASGI leaves room for ours
        self._requests += 1
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; or one trailer, which nobody may take for a header."""
        if not self._in_head:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise _Refused("headers_too_large")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: the application may start."""
        parser = self.parser
        version = parser.get_http_version()
        headers = self._checked_headers(version)
        if parser.should_upgrade():
            return  # the parser stops now: see _read_plainly
        self._in_head = False
        self._idle_bytes = 0
        scope = self.scope
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        # An encoded slash stays as it is and leads nowhere: whoever guards paths in front of us may read another one.
        scope["path"] = unquote(path) if "%" in path and not _ENCODED_SLASH.search(path) else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        keep_alive = version != "1.0" and not self._spare and not self._limits.draining and parser.should_keep_alive()
        self.cycle = Cycle(
            scope=scope,
            transport=cast(asyncio.Transport, self.transport),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=headers.get(b"expect", b"").lower() == b"100-continue",
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        self.cycle.limits = self._limits
        app = cast(ASGI3Application, self._limits.too_many_connections) if self._turned_away(path) else self.app
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))

    def _checked_headers(self, version: str) -> dict[bytes, bytes]:
        """The headers by name. Raises _Refused where they are too large or leave room for a second reading."""
        headers = dict(self.headers)
        if len(headers) != len(self.headers):
            names = [name for name, _ in self.headers]
            if any(names.count(name) > 1 for name in ONCE):
                raise _Refused("bad_request", MALFORMED)
        if version != "1.1":
            if version != "1.0" or b"transfer-encoding" in headers:
                raise _Refused("bad_request", MALFORMED)
        elif b"host" not in headers or headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise _Refused("bad_request", MALFORMED)
        if self.parser.should_upgrade() and (version != "1.1" or self.parser.get_method() == b"CONNECT"):
            raise _Refused("bad_request", MALFORMED)
        if self._head_bytes + self._fed > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                raise _Refused("headers_too_large")
        return headers

    def _turned_away(self, path: str) -> bool:
        return self._spare and not path.startswith("/health/")

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._idle_bytes = -self._fed
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._in_head:
            return  # it asked for another protocol: see _read_plainly
        self._fed_requests = True
        cycle = self.cycle
        cycle.more_body = False
        if not cycle.response_complete:
            cycle.message_event.set()
        elif self.transport.ended:
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
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._last_words is not None:
            self._say(self._last_words)

    def _stop_reading(self, reason: BaseException | None) -> None:
        """The parser gave up: by its own rules, or because a callback told it to."""
        if isinstance(reason, _Refused):
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
            cycle.disconnected = True
            cycle.message_event.set()
            self._say(b"" if started else words)

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
