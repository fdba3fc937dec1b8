"""R inside this process: the only file that imports rpy2.

Importing it opens R's library, so only a template (and the workers it forks) may do so, on its main thread, with no
other thread alive. One R call at a time, no converters, no `robjects`: vectors go in and out as buffers through
rpy2's C interface, because its own `Vector.memoryview()` loses a reference to None at each call (rpy2-rinterface
3.6.5, `memoryview_swapstrides` returns Py_None without Py_INCREF) and kills the process after some thousand of them,
and because per-call conversion costs more than a small model's prediction.
"""

from __future__ import annotations

import logging
import os
import re
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rpy2.situation

from server.wire.models import LoadCode
from server.workers.captured_output import Printed
from server.workers.errors import load_code
from server.workers.r import front_end

os.environ.update(front_end.variables())
rpy2.situation.r_ld_library_path_from_subprocess = lambda _: ""  # R would be started for what nobody reads

import rpy2.rinterface as rinterface  # noqa: E402
from rpy2.rinterface_lib import callbacks, openrlib  # noqa: E402

rinterface._getrenvvars = lambda: ()  # and once more for what is set by now

log = logging.getLogger(__name__)

_lib = openrlib.rlib
_ffi = openrlib.ffi

_NILSXP, _LGLSXP, _INTSXP, _REALSXP, _STRSXP, _VECSXP = 0, 10, 13, 14, 16, 19
_UTF8 = 1

_COLLECTION = re.compile(r"= (?P<young>\d+)\+\d+\+(?P<full>\d+) \(level")
"""The line that R prints of a collection: Garbage collection 9 = 6+1+2 (level 0) ..."""

R_CODE = Path(__file__).with_name("R")


class RError(Exception):
    """R signalled an error. `code` is the condition's own (see R/conditions.R), "failed" where it has none of ours."""

    def __init__(self, code: LoadCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def start() -> None:
    """Start R, send what it prints to the log, and read our R code into one environment."""
    callbacks.consolewrite_print = printed.take
    callbacks.consolewrite_warnerror = printed.take
    rinterface.initr(interactive=False)
    if not api_mode():
        log.warning("rpy2 runs in its slow ABI mode: it was not compiled against this R", extra={"r": version()})
    source = rinterface.evalr(
        """function(folder) {
             code <- new.env(parent = globalenv())
             for (file in sort(list.files(folder, "[.]R$", full.names = TRUE))) sys.source(file, code)
             code
           }"""
    )
    global _code
    _code = source(rinterface.StrSexpVector([str(R_CODE)]))


def version() -> str:
    """The version of R, such as "4.2.2"."""
    return str(rinterface.evalr("paste(R.version$major, R.version$minor, sep = '.')")[0])


def blas() -> str:
    """The path of the BLAS library that R uses."""
    return str(rinterface.evalr("as.character(extSoftVersion()[['BLAS']])")[0])


def api_mode() -> bool:
    """Whether rpy2 was compiled against this R."""
    return openrlib.cffi_mode is rpy2.situation.CFFI_MODE.API


MAX_COLLECTIONS = 130
AT_ONCE = 5
"""Young collections for each one that reports its number: to report costs as much as to collect."""
MANY_LEFT = 100
"""Young collections, at least, that a fork may make before R makes one of all generations."""

_young_before = 0
"""How many young collections there had been at the latest one of all generations that was not asked for."""


def collect_garbage() -> None:
    """Have R free what nothing refers to, and hold the rest to be old.

    The second collection moves what survived the first to R's oldest generation, which a worker's young collections
    leave alone: its pages stay shared between forks. But of about 126 collections R makes one of all generations
    (memory.c: every 20th looks at the next one, of these every 5th at the oldest), which writes to every object. The
    count goes on in a fork; so here collections are made until that one is over, and forks have all others before it.
    """
    global _young_before
    rinterface.evalr("{ gc(full = TRUE); gc(full = TRUE); NULL }")
    young, full = _collections()
    if _young_before and young - _young_before < MAX_COLLECTIONS - MANY_LEFT:
        return
    for _ in range(0, MAX_COLLECTIONS, AT_ONCE + 1):
        collect_young_garbage(AT_ONCE)
        _young_before, now_full = _collections()
        if now_full > full:
            break


def _collections() -> tuple[int, int]:
    """How many young collections R has made, with one more, and how many of all generations."""
    said: list[str] = []
    callbacks.consolewrite_warnerror = said.append
    try:
        rinterface.evalr("{ gc(verbose = TRUE, full = FALSE); NULL }")
    finally:
        callbacks.consolewrite_warnerror = printed.take
    found = _COLLECTION.search("".join(said))
    return (int(found["young"]), int(found["full"])) if found else (0, 0)


def collect_young_garbage(times: int = 1) -> None:
    """Have R free what lived only a moment: half a millisecond, and no page of a shared model is touched."""
    global _collect_young
    if _collect_young is None:
        _collect_young = rinterface.evalr("function(times) { for (i in seq_len(times)) gc(full = FALSE); NULL }")
    _collect_young(rinterface.IntSexpVector([times]))


_collect_young: Any = None
_code: Any = None
printed = Printed(lambda line: log.info("R printed", extra={"text": line}))
"""Writes each line that R prints into the log."""


# Calls that may take their time: values are converted both ways


def call(function: str, *arguments: Any) -> Any:
    """Call one of our R functions with Python values or R objects; the answer as Python values.

    Raises RError. Named lists become dicts, other lists and vectors lists, NULL None.
    """
    return to_python(call_r(function, *arguments))


def call_r(function: str, *arguments: Any) -> Any:
    """Call one of our R functions, and leave the answer in R."""
    value, code, message = _code["attempt"](_code[function], *(to_r(a) for a in arguments))
    if code is rinterface.NULL:
        return value
    raise RError(load_code(str(code[0])), str(message[0]))


def call_seldom(function: str, *arguments: Any) -> Any:
    """Call an R function that is called once for a model, and leave the answer in R. R's compiler leaves it alone."""
    return call_r("without_compiler", function, *arguments)


def to_r(value: Any) -> Any:
    """A Python value as an R object: scalars become vectors of one, dicts named lists, R objects stay."""
    if isinstance(value, rinterface.Sexp):
        return value
    if value is None:
        return rinterface.NULL
    if isinstance(value, bool):
        return rinterface.BoolSexpVector([value])
    if isinstance(value, int) and abs(value) < 2**31:
        return rinterface.IntSexpVector([value])
    if isinstance(value, int | float):
        return rinterface.FloatSexpVector([float(value)])
    if isinstance(value, str):
        return rinterface.StrSexpVector([value])
    if isinstance(value, Mapping):
        named = rinterface.ListSexpVector([to_r(v) for v in value.values()])
        named.names = rinterface.StrSexpVector([str(k) for k in value])
        return named
    if isinstance(value, Sequence) and value and all(isinstance(v, str) for v in value):
        return rinterface.StrSexpVector(value)
    return rinterface.ListSexpVector([to_r(v) for v in value])


def to_python(value: Any) -> Any:
    """An R object as Python values; a vector of one is still a list."""
    if value is rinterface.NULL:
        return None
    if isinstance(value, rinterface.ListSexpVector):
        items = [to_python(v) for v in value]
        return items if value.names is rinterface.NULL else dict(zip(value.names, items, strict=True))
    return [None if v is rinterface.NA_Character or v is rinterface.NA_Logical else _plain(v) for v in value]


def _plain(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


# The hot path: one call into a scorer closure per batch


def asked(function: str) -> int:
    """The number that one of our R functions without arguments answers, in a few microseconds; -1 if it fails."""
    call = _questions.get(function)
    if call is None:
        call = _questions[function] = _lib.Rf_lang1(_code[function].__sexp__._cdata)
        _lib.R_PreserveObject(call)
    answer = _lib.R_tryEval(call, _lib.R_GlobalEnv, _unasked)
    return -1 if _unasked[0] else int(_lib.INTEGER(answer)[0])


_questions: dict[str, Any] = {}
_unasked = _ffi.new("int *", 0)


class Scorer:
    """An R function of (columns, output, rows, options), called with buffers and answering with buffers.

    `types` are those of the inputs: a logical and an integer look alike on this side.
    """

    def __init__(self, function: Any, types: Sequence[str]) -> None:
        self._types = types
        self._function = function  # keeps it from R's garbage collector
        self._cdata = function.__sexp__._cdata
        self._failed = _ffi.new("int *", 0)
        self._outputs: dict[str, Any] = {}
        self._given: Any = None

    def __call__(self, columns: Sequence[Any], output: str, rows: int, options: Mapping[str, Any]) -> list[Any]:
        """Call with one array or list of strings per input. Returns the R list's elements as `_value` has them."""
        protected = 0
        try:
            cells = _lib.Rf_protect(_lib.Rf_allocVector(_VECSXP, len(columns)))
            protected += 1
            for i, column in enumerate(columns):
                _lib.SET_VECTOR_ELT(cells, i, _vector(column, self._types[i]))
            call = _lib.Rf_protect(self._call(cells, output, rows, options))
            protected += 1
            answer = _lib.R_tryEval(call, _lib.R_GlobalEnv, self._failed)
            if self._failed[0]:
                raise RError("failed", "the scorer itself failed")
            _lib.Rf_protect(answer)
            protected += 1
            return [_value(_lib.VECTOR_ELT(answer, i)) for i in range(_lib.Rf_xlength(answer))]
        finally:
            _lib.Rf_unprotect(protected)

    def _call(self, cells: Any, output: str, rows: int, options: Mapping[str, Any]) -> Any:
        if not options:
            return _lib.Rf_lang3(self._cdata, cells, self._output(output))
        self._given = (to_r(rows), to_r(options))  # keeps them from R's garbage collector until the next call
        r_rows, r_options = (value.__sexp__._cdata for value in self._given)
        return _lib.Rf_lang5(self._cdata, cells, self._output(output), r_rows, r_options)

    def _output(self, output: str) -> Any:
        vector = self._outputs.get(output)
        if vector is None:
            vector = self._outputs[output] = rinterface.StrSexpVector([output])
        return vector.__sexp__._cdata


def _vector(column: Any, type: str) -> Any:
    """An R vector holding a copy of a column; the caller must store it in a protected object at once."""
    if not isinstance(column, list):
        if column.itemsize == 8:  # doubles
            vector = _allocated(_REALSXP, "double", len(column))
            start = _lib.REAL(vector)
        elif type == "logical":
            vector = _allocated(_LGLSXP, "logical", len(column))
            start = _lib.LOGICAL(vector)
        else:
            vector = _allocated(_INTSXP, "integer", len(column))
            start = _lib.INTEGER(vector)
        _ffi.memmove(start, _ffi.from_buffer(column), len(column) * column.itemsize)
        return vector
    vector = _lib.Rf_protect(_lib.Rf_allocVector(_STRSXP, len(column)))
    for i, text in enumerate(column):
        _lib.SET_STRING_ELT(vector, i, _lib.R_NaString if text is None else _char(text))
    _lib.Rf_unprotect(1)
    return vector


def _allocated(kind: int, mode: str, size: int) -> Any:
    """A new vector. Of a large one R itself is asked: where memory has run out C's way jumps past all of Python."""
    if size < LARGE_VECTOR:
        return _lib.Rf_allocVector(kind, size)
    global _vector_of
    if _vector_of is None:
        _vector_of = rinterface.evalr("vector")
    arguments = rinterface.StrSexpVector([mode]), rinterface.FloatSexpVector([float(size)])
    call = _lib.Rf_protect(_lib.Rf_lang3(_vector_of.__sexp__._cdata, *(a.__sexp__._cdata for a in arguments)))
    failed = _ffi.new("int *", 0)
    vector = _lib.R_tryEval(call, _lib.R_GlobalEnv, failed)
    _lib.Rf_unprotect(1)
    if failed[0]:
        raise MemoryError("R has no room for the rows")
    return vector


LARGE_VECTOR = 1 << 16
_vector_of: Any = None


def _char(text: str) -> Any:
    data = text.encode()
    return _lib.Rf_mkCharLenCE(data, len(data), _UTF8)


def _value(sexp: Any) -> Any:
    """An R value as Python has it: vectors as arrays or lists, logicals as ("logical", array), NULL as None."""
    kind = sexp.sxpinfo.type
    if kind == _NILSXP:
        return None
    size = _lib.Rf_xlength(sexp)
    if kind == _REALSXP:
        return _copied("d", _lib.REAL(sexp), size * 8)
    if kind == _INTSXP:
        return _copied("i", _lib.INTEGER(sexp), size * 4)
    if kind == _LGLSXP:
        return ("logical", _copied("i", _lib.LOGICAL(sexp), size * 4))
    if kind == _STRSXP:
        return [_text(_lib.STRING_ELT(sexp, i)) for i in range(size)]
    if kind == _VECSXP:
        return [_value(_lib.VECTOR_ELT(sexp, i)) for i in range(size)]
    raise RError("failed", "the scorer gave a value of a kind that has no place in a reply")


def _copied(typecode: str, start: Any, size_bytes: int) -> array[Any]:
    values = array(typecode)
    if size_bytes:
        values.frombytes(_ffi.buffer(start, size_bytes))
    return values


def _text(char: Any) -> str | None:
    if char == _lib.R_NaString:
        return None
    return bytes(_ffi.buffer(_lib.R_CHAR(char), _lib.Rf_xlength(char))).decode("utf-8", "replace")
