"""What goes wrong in a worker: why a request is not answered, and why a model file cannot be served.

Each kind of request error says itself which reply code it becomes and what its caller is told. So whoever answers
requests needs one `except`, and a codec or a runtime that raises one of them needs nothing else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast, get_args

from server.wire.frames import ReplyCode
from server.wire.models import LoadCode

MAX_FAULTS = 100
"""How many faults of one request are reported at most."""


class RequestError(Exception):
    """A request that cannot be answered. Each kind has a reply code of `server/wire/README.md`."""

    reply_code: ClassVar[ReplyCode]

    def for_caller(self) -> dict[str, Any]:
        """The reply's body: `detail`, and where there are any `errors` and the `model_message`."""
        return {"detail": str(self)}

    def log_to(self, log: logging.Logger, about: Mapping[str, str]) -> None:
        """Write a line to the worker's log if somebody besides the caller has to know; `about` is added to it."""


# The caller's faults


class BadBody(RequestError):
    """A body is not written in the format that its head names. The text is for the caller."""

    reply_code = ReplyCode.BAD_BODY


class Unreadable(BadBody):
    """Reading a body raised an error that no codec knows: a fault of ours, which costs its caller one request."""

    def __init__(self) -> None:
        super().__init__("the body cannot be read as what its Content-Type says")

    def log_to(self, log: logging.Logger, about: Mapping[str, str]) -> None:
        """Log the error behind it with its traceback."""
        log.error("a body could not be read", extra=about, exc_info=self.__cause__)


class UnsupportedType(RequestError):
    """A script does not take a body of this media type. The text is for the caller."""

    reply_code = ReplyCode.UNSUPPORTED_TYPE


class TooLarge(RequestError):
    """A body is larger than allowed once it is inflated. The text is for the caller."""

    reply_code = ReplyCode.TOO_LARGE


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit the schema. `row` counts from 0; None where no single row is at fault."""

    row: int | None
    column: str | None
    expected: str
    got: str
    hint: str


class Invalid(RequestError):
    """A request does not fit the model's schema; `faults` are the first hundred reasons."""

    reply_code = ReplyCode.INVALID

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults[:MAX_FAULTS])

    def for_caller(self) -> dict[str, Any]:
        """The reply's body: the detail, and each fault by row and column."""
        errors = {"errors": [asdict(fault) for fault in self.faults]} if self.faults else {}
        return {"detail": self.detail, **errors}


# The model's faults


class ModelFailed(RequestError):
    """The model raised an error. The text is the model's own: for the log and for those who may see details."""

    reply_code = ReplyCode.MODEL_FAILED
    detail: ClassVar[str] = "the model could not predict these rows"

    def for_caller(self) -> dict[str, Any]:
        """The reply's body: the detail of this kind of failure, and the model's own words."""
        words = {"model_message": str(self)} if str(self) else {}
        return {"detail": self.detail, **words}

    def log_to(self, log: logging.Logger, about: Mapping[str, str]) -> None:
        """Log the model's words."""
        log.warning("the model failed", extra={**about, "reason": str(self)})


class OutOfMemory(ModelFailed):
    """An allocation failed. Raise it where the failed call's frames, and what they hold, have been let go."""

    detail = (
        "the model needed more memory than a worker may have; send fewer rows in a request, "
        "or have TANDEM_WORKER_MEMORY_MB raised"
    )


class BadRows(ModelFailed):
    """The model refuses rows that its schema could not tell from others: the caller is at fault."""

    reply_code = ReplyCode.INVALID

    def log_to(self, log: logging.Logger, about: Mapping[str, str]) -> None:
        """Log nothing: it happens every day, and the reply says it."""


class UnknownLevel(BadRows):
    """The model said that it does not know a level."""

    detail = "the rows hold a level that the model was not trained with"


class NotFinite(BadRows):
    """The model's compiled code takes finite numbers only."""

    detail = "the rows hold, or lead to, a number that is missing or infinite, which this model cannot predict"


class ScriptFailed(ModelFailed):
    """A scoring script raised an error, or ended its process. The text is the script's own."""

    detail = "the script failed"

    def log_to(self, log: logging.Logger, about: Mapping[str, str]) -> None:
        """Log the script's words and the traceback, which is its author's."""
        log.warning("the script failed", extra={**about, "reason": str(self)}, exc_info=self.__cause__)


class NotJson(ScriptFailed):
    """A script returned what JSON cannot hold; the text says so to the caller."""

    def for_caller(self) -> dict[str, Any]:
        """The reply's body: the text, which is ours."""
        return {"detail": str(self)}


# The server's faults


class UnknownModel(RequestError):
    """A batch is for a model that this worker does not hold."""

    reply_code = ReplyCode.UNKNOWN_MODEL


class Expired(RequestError):
    """The deadline of a batch had passed before its turn came."""

    reply_code = ReplyCode.EXPIRED


def request_error(error: Exception) -> RequestError:
    """What was raised while a request was answered, as a request error: itself, or the kind that it amounts to."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("memory ran out outside of the model")
    unreadable = Unreadable()
    unreadable.__cause__ = error
    return unreadable


def lacks_memory(error: BaseException) -> bool:
    """Whether an allocation failed, in Python or in a library of C or C++ that says so in words of its own."""
    return isinstance(error, MemoryError) or _ALLOCATION.search(str(error)) is not None


_ALLOCATION = re.compile(r"std::bad_alloc|bad allocation|[Cc]annot allocate memory|can't allocate memory|out of memory")


# Files


class LoadFailed(Exception):
    """A model file cannot be served. The text is for analysts and names no path."""

    def __init__(self, code: LoadCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def load_code(text: str) -> LoadCode:
    """A code that came from R; "failed" where it is none of ours, since a model may signal what it likes."""
    return cast(LoadCode, text) if text in get_args(LoadCode) else "failed"
