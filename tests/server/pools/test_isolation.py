"""What one model sets is seen by no other, on a real server, be it set as the model is read or as it is called."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.harness.tandem import Tandem, eventually, run_r

NEIGHBOURS = r"""
folder <- commandArgs(TRUE)[1]
put <- function(name, model, yaml) {
  writeLines(yaml, file.path(folder, paste0(name, ".yaml")))
  saveRDS(model, file.path(folder, paste0(name, ".rds")))
}
set.seed(1)
d <- data.frame(g = factor(rep(c("a", "b", "c"), 40)), h = factor(rep(c("u", "v"), each = 60)), x = rnorm(120))
d$y <- as.integer(d$g) * 3 + d$x + as.integer(d$h)
put("plan", e1071::svm(y ~ g + h + x, d), c(  # keeps no contrasts: predict() asks options("contrasts")
  "schema:", "  inputs:", "    - {name: g, type: factor, levels: [a, b, c]}",
  "    - {name: h, type: factor, levels: [u, v]}", "    - {name: x, type: numeric}"
))
Sys.setenv(TZ = "UTC")
t <- data.frame(stamp = format(as.POSIXct("2024-01-01", tz = "UTC") + 3600 * (1:300)), y = 1:300)
put("clock", lm(y ~ as.numeric(as.POSIXct(stamp)), t), c(
  "schema:", "  inputs:", "    - {name: stamp, type: string, levels: [\"2024-01-01 05:00:00\"]}"
))
# Answers with all that a process's models share, as numbers.
about <- function(df) {
  seen <- c(
    getOption("digits"), nchar(getOption("shop.rate", "")), nchar(Sys.getenv("SHOP")), length(search()),
    as.numeric(exists("shop_rate", globalenv())), nchar(Sys.getlocale("LC_COLLATE")), nchar(getwd()),
    as.numeric(RNGkind()[1] == "Wichmann-Hill")
  )
  matrix(rep(seen, each = nrow(df)), nrow(df), dimnames = list(NULL, paste0("v", seq_along(seen))))
}
environment(about) <- globalenv()
put("about", about, c("schema:", "  inputs:", "    - {name: x, type: numeric}"))
# Models to be dropped later, out of the folder's sight: functions of these statements.
folder <- commandArgs(TRUE)[2]
for (name in commandArgs(TRUE)[-(1:2)]) {
  text <- paste("function(df) {", readLines(file.path(folder, name)) |> paste(collapse = "\n"), "\n df$x * 2 }")
  model <- eval(str2lang(text), globalenv())
  put(name, model, c("schema:", "  inputs:", "    - {name: x, type: numeric}"))
}
"""

WATCHER = """
import decimal, locale, os, warnings
import numpy, pandas, sklearn

class Watcher:
    n_features_in_ = 1
    def predict(self, X):
        seen = (len(numpy.geterr()["divide"]), sklearn.get_config()["assume_finite"], len(os.environ.get("SHOP", "")),
                len(warnings.filters), len(os.getcwd()), decimal.getcontext().prec,
                len(locale.setlocale(locale.LC_ALL)), pandas.get_option("display.precision"))
        return [float(hash(seen) % 1000003)] * len(X)
"""

R_LEAKS = """
options(contrasts = c("contr.sum", "contr.poly"), digits = 3, shop.rate = "high")
Sys.setenv(TZ = "America/New_York", SHOP = "open")
Sys.setlocale("LC_COLLATE", "C")
library(splines)
assign("shop_rate", 2, envir = globalenv())
RNGkind("Wichmann-Hill")
setwd("/usr")
local({ stats <- asNamespace("stats"); unlockBinding("ar", stats); assign("ar", function(...) 0, stats) })
"""
R_FOUND = (
    *("the option contrasts", "the option digits", "the option shop.rate", "the environment variable TZ", "the locale"),
    *("the environment variable SHOP", "the search path (package:splines)", "the global variable shop_rate"),
    *("the working directory", "ar of the package stats"),
)
PYTHON_LEAKS = """
sklearn.set_config(assume_finite=True)
numpy.seterr(all="ignore")
os.environ["SHOP"] = "open"
os.chdir("/usr")
decimal.getcontext().prec = 5
pandas.set_option("display.precision", 2)
warnings.simplefilter("ignore")
"""
PYTHON_FOUND = (
    *("sklearn.set_config", "numpy.seterr", "the environment variable SHOP", "the working directory", "decimal"),
    "the options of pandas",
)
LATER = 98765
"""No probe asks for it."""
MORE_R_LEAKS = """
options(warn = 2, OutDec = ",")
attach(list(shop_rate = 3, predict = function(...) 0), name = "shop", warn.conflicts = FALSE)
set.seed(7)
lattice::lattice.options(default.theme = "none")
"""
R_MODELS = {
    "shop": R_LEAKS + MORE_R_LEAKS,
    "sale": f"if (any(df$x %in% {LATER})) {{ {R_LEAKS + MORE_R_LEAKS} }}",
    "dice": "set.seed(7); RNGkind('Wichmann-Hill'); runif(1)",
}
"""R models by what they do when called: set all that there is, set it at a later call, change random numbers."""
ASKED = {
    "plan": {"rows": [{"g": "b", "h": "v", "x": 0.5}]},
    "clock": {"rows": [{"stamp": "2024-01-01 05:00:00"}]},
    "about": {"rows": [{"x": 1}]},
    "watcher": {"rows": [{"x0": 1}]},
}


class Source:
    """Pickles as the `Model` that its source defines, so that whoever reads it needs no module of ours."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __reduce__(self) -> tuple[Any, ...]:
        name = "Watcher" if "Watcher" in self._source else "Model"
        return eval, (f"(lambda space: (exec({self._source!r}, space), space[{name!r}]())[1])({{}})",)


def leaking_source(statements: str, later: bool = False) -> str:
    """A model that changes its process whenever it is called, or only when it is asked for a number of its own."""
    guard = f"X[0][0] == {LATER}" if later else "True"
    return f"""
import decimal, os, warnings
import numpy, pandas, sklearn

class Model:
    n_features_in_ = 1
    def predict(self, X):
        X = numpy.asarray(X)
        if {guard}:
{indent(statements, " " * 12)}
        return X[:, 0] * 2
"""


def drop_python(server: Tandem, name: str, source: str) -> None:
    (server.python_models / f"{name}.pkl").write_bytes(pickle.dumps(Source(source)))


def drop_r(server: Tandem, name: str, statement: str, later: bool = False) -> None:
    guard = f"if (any(df$x %in% {LATER})) " if later else ""
    (server.r_models / f"{name}.yaml").write_text("schema:\n  inputs:\n    - {name: x, type: numeric}\n")
    server.drop(name, f"f <- function(df) {{ {guard}{{ {statement} }}; df$x * 2 }}; environment(f) <- globalenv(); f")


def answers(server: Tandem) -> dict[str, Any]:
    return {name: server.score(name, body).json().get("predictions") for name, body in ASKED.items()}


@pytest.fixture(scope="module")
def aside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the models of `R_MODELS`, each with its sidecar, until they are dropped."""
    return tmp_path_factory.mktemp("aside")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, aside: Path) -> Iterator[Tandem]:
    """One server with neighbours that notice what others set; every test leaves them alone."""
    tandem = Tandem(tmp_path_factory.mktemp("isolation"), r_workers=1, python_workers=1)
    tandem.environment["LC_ALL"] = "C.UTF-8"
    for name, statements in R_MODELS.items():
        (aside / name).write_text(statements)
    run_r(NEIGHBOURS, str(tandem.r_models), str(aside), *R_MODELS)
    drop_python(tandem, "watcher", WATCHER)
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


@pytest.fixture
def right(server: Tandem) -> dict[str, Any]:
    """What the neighbours answer while they are alone."""
    eventually(lambda: len(server.processes("template")) <= 3)
    found = answers(server)
    assert None not in found.values()
    return found


def leave(server: Tandem, *names: str) -> None:
    for folder in (server.r_models, server.python_models):
        for path in [p for p in folder.iterdir() if p.stem in names]:
            path.unlink()
    for name in names:
        eventually(lambda n=name: not server.model(n))


def test_what_models_set_when_they_are_called_reaches_no_neighbour(server: Tandem, right: dict[str, Any]) -> None:
    drop_r(server, "shop", R_LEAKS)
    drop_python(server, "store", leaking_source(PYTHON_LEAKS))
    for name, body, found in (("shop", {"x": 4}, R_FOUND), ("store", {"x0": 4}, PYTHON_FOUND)):
        details = eventually(lambda n=name: server.version(n, "ready"), timeout_s=120)
        missing = [what for what in found if what not in details["isolated"]]
        assert not missing, details["isolated"]
        assert server.score(name, {"rows": [body]}).json()["predictions"] == [8]
        assert answers(server) == right
    leave(server, "shop", "store")
    assert answers(server) == right


def test_what_models_set_at_a_later_call_reaches_no_neighbour_and_costs_no_request(
    server: Tandem, right: dict[str, Any]
) -> None:
    drop_r(server, "later", R_LEAKS, later=True)
    drop_python(server, "someday", leaking_source(PYTHON_LEAKS, later=True))
    for name, column, pool in (("later", "x", "r"), ("someday", "x0", "python")):
        details = eventually(lambda n=name: server.version(n, "ready"), timeout_s=120)
        assert "isolated" not in details, "nothing was seen of it"
        for _ in range(3):
            assert server.score(name, {"rows": [{column: 4}]}).json()["predictions"] == [8]
            assert answers(server) == right
            assert server.score(name, {"rows": [{column: LATER}]}).json()["predictions"] == [2 * LATER]
            assert answers(server) == right
        assert server.metric("tandem_worker_restarts_total", runtime=pool, reason="changed") >= 1
        found = eventually(lambda n=name: (server.version(n, "ready") or {}).get("isolated"), timeout_s=120)
        assert "the working directory" in found
        restarts = server.metric("tandem_worker_restarts_total", runtime=pool)
        assert server.score(name, {"rows": [{column: LATER}]}).json()["predictions"] == [2 * LATER]
        assert answers(server) == right
        assert server.metric("tandem_worker_restarts_total", runtime=pool) == restarts, "nobody is disturbed any more"
    leave(server, "later", "someday")
    assert answers(server) == right


Step = tuple[str, str]
PYTHON_MODELS = ("sets", "later", "both")
STEPS = st.tuples(
    st.sampled_from(["drop", "drop", "call", "call it later", "delete"]), st.sampled_from([*PYTHON_MODELS, *R_MODELS])
)
THE_WHOLE_WAY: list[Step] = [
    *(("drop", name) for name in R_MODELS),
    *(("await", name) for name in R_MODELS),
    *(("call it later", name) for name in R_MODELS),
    *(("delete", "shop"), ("call", "sale"), ("drop", "shop"), ("delete", "sale"), ("call it later", "dice")),
    *(("await", "shop"), ("call", "shop"), ("delete", "dice")),
]
"""What only happens if one waits for a model to serve."""


def step(server: Tandem, aside: Path, what: str, name: str) -> None:
    """Drop, await, call or delete a model; to call one that is not there is no fault."""
    folder, ending = (server.r_models, ".rds") if name in R_MODELS else (server.python_models, ".pkl")
    path = folder / f"{name}{ending}"
    match what:
        case "drop" if name in R_MODELS:
            for part in (f"{name}.yaml", path.name):
                (folder / part).write_bytes((aside / part).read_bytes())
        case "drop":
            source = leaking_source(PYTHON_LEAKS, later=name == "later")
            path.write_bytes(pickle.dumps(Source(source + ("import os; os.environ['SHOP'] = 'x'" * (name == "both")))))
        case "await":
            eventually(lambda: server.version(name, "ready"), timeout_s=120)
        case "delete":
            path.unlink(missing_ok=True)
        case _:
            column = "x" if name in R_MODELS else "x0"
            reply = server.score(name, {"rows": [{column: LATER if what == "call it later" else 4}]})
            assert reply.status_code in (200, 404, 503), reply.text


@settings(max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=4, max_size=8))
@example(steps=THE_WHOLE_WAY)
def test_neighbours_always_answer_the_same_bits_whatever_is_dropped_called_and_deleted(
    server: Tandem, aside: Path, steps: list[Step]
) -> None:
    alone = answers(server)
    assert None not in alone.values()
    for what, name in steps:
        step(server, aside, what, name)
        for _ in range(2):
            assert answers(server) == alone, (what, name)
    leave(server, *PYTHON_MODELS, *R_MODELS)
    assert answers(server) == alone


def test_check_says_that_a_model_would_get_a_process_of_its_own_and_why(server: Tandem, tmp_path: Path) -> None:
    (tmp_path / "store.pkl").write_bytes(pickle.dumps(Source(leaking_source("sklearn.set_config(assume_finite=True)"))))
    done = server.command("check", str(tmp_path / "store.pkl"))
    assert done.returncode == 0, done.stderr
    [told] = [line for line in done.stdout.splitlines() if line.startswith("  process")]
    assert told.startswith("  process  of its own: reading or calling it changes the configuration of scikit-learn")
