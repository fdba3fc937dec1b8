"""r_models/tandem.R: what an analyst saves with tandem_save() is served as saved, or refused before it is written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.catalog.sidecar import parse
from tests.harness.tandem import ROOT, Tandem, eventually

HELPER = ROOT / "r_models" / "tandem.R"

CARS = """
cars <- transform(
  mtcars, cyl = factor(cyl), gear = as.integer(gear), heavy = wt > 3, size = cut(disp, 3, ordered_result = TRUE),
  built = as.Date("1974-01-31") + seq_len(32), seen = .POSIXct(1e9 + 1800 * seq_len(32) + 0.25, "Europe/Paris"),
  maker = sub(" .*", "", rownames(mtcars)), `näme: "x"` = hp / 7, y = -qsec, check.names = FALSE
)
cars$maker <- ifelse(cars$maker %in% c("Merc", "Toyota"), cars$maker, "no: \\\\ \\"é\\"\\n")
"""


def save(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run R code in which tandem_save() is known and `f` is the folder."""
    text = f'source("{HELPER}", encoding = "UTF-8"); f <- "{folder}"\n{code}'
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["Rscript", "--vanilla", "-"], env=environment, input=text, capture_output=True, text=True, timeout=120
    )


def saved(folder: Path, code: str) -> str:
    done = save(folder, code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, code: str) -> str:
    done = save(folder, code)
    assert done.returncode != 0
    assert list(folder.iterdir()) == [], "nothing may be written"
    return done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server with models of many classes, saved with all the outputs that tandem.R knows."""
    tandem = Tandem(tmp_path_factory.mktemp("saved"))
    saved(tandem.r_models, CARS + MODELS)
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


MODELS = """
set.seed(1)
library(splines)
of_cars <- list(
  typed = lm(mpg ~ ns(wt, 3) + cyl + gear + heavy + size + as.numeric(built) + as.numeric(seen) + maker +
    `näme: "x"` + y, cars),
  glm = glm(heavy ~ hp + qsec, binomial, cars),
  gam = mgcv::gam(mpg ~ s(wt, k = 4) + cyl, data = cars),
  nls = nls(mpg ~ a + b * exp(-wt), cars, start = list(a = 10, b = 40)),
  loess = loess(mpg ~ wt, cars),
  rpart = rpart::rpart(mpg ~ wt + maker, cars),
  forest = randomForest::randomForest(mpg ~ wt + cyl + hp, cars, ntree = 20),
  survreg = survival::survreg(survival::Surv(qsec, am) ~ wt + cyl, cars)
)
for (name in names(of_cars)) tandem_save(of_cars[[name]], paste0("cars-", name), cars, folder = f)
of_irises <- list(
  rpart = rpart::rpart(Species ~ ., iris),
  forest = randomForest::randomForest(iris[1:4], iris$Species, ntree = 11),
  ranger = ranger::ranger(Species ~ ., iris, probability = TRUE, num.trees = 20, num.threads = 1),
  lda = MASS::lda(Species ~ ., iris),
  polr = MASS::polr(ordered(Species) ~ Sepal.Length, iris),
  multinom = nnet::multinom(Species ~ ., iris, trace = FALSE),
  nnet = nnet::nnet(Species ~ ., iris, size = 2, trace = FALSE),
  svm = e1071::svm(Species ~ ., iris),
  bayes = e1071::naiveBayes(Species ~ ., iris)
)
for (name in names(of_irises)) tandem_save(of_irises[[name]], paste0("irises-", name), iris, folder = f, golden = 20)
"""
SAVED = [
    *(f"cars-{name}" for name in ("typed", "glm", "gam", "nls", "loess", "rpart", "forest", "survreg")),
    *(f"irises-{name}" for name in ("rpart", "forest", "ranger", "lda", "polr", "multinom", "nnet", "svm", "bayes")),
]


@pytest.mark.parametrize("name", SAVED)
def test_golden_rows_as_saved_are_answered_to_the_last_bit(server: Tandem, name: str) -> None:
    details = eventually(lambda: server.version(name, "ready") or server.version(name, "failed"))
    assert details["state"] == "ready", details.get("reason")
    assert details["golden_rows"] >= 3


def test_the_schema_is_that_of_the_example(server: Tandem) -> None:
    schema = server.version("cars-typed", "ready")["schema"]  # type: ignore[index]
    inputs = {i["name"]: i for i in schema["inputs"]}
    assert {name: i["type"] for name, i in inputs.items()} == {
        "wt": "numeric",
        "cyl": "factor",
        "gear": "integer",
        "heavy": "logical",
        "size": "ordered",
        "built": "date",
        "seen": "datetime",
        "maker": "string",
        'näme: "x"': "numeric",
        "y": "numeric",
    }
    assert inputs["cyl"]["levels"] == ["4", "6", "8"]
    assert inputs["seen"]["tz"] == "Europe/Paris"


def test_the_sidecar_tells_versions_and_packages(server: Tandem) -> None:
    sidecar = parse((server.r_models / "cars-typed.yaml").read_bytes())
    assert sidecar.packages == ["splines"]
    forest = parse((server.r_models / "cars-forest.yaml").read_bytes())
    assert list(forest.made_with.packages) == ["randomForest"]
    assert (
        forest.made_with.r
        == subprocess.run(
            ["Rscript", "-e", "cat(as.character(getRversion()))"], capture_output=True, text=True, check=True
        ).stdout
    )


def golden_of(folder: Path, name: str = "m") -> list[dict[str, Any]]:
    golden: list[dict[str, Any]] = yaml.safe_load((folder / f"{name}.yaml").read_text())["golden"]
    return golden


def test_whatever_a_cell_holds_is_read_back_as_it_was(tmp_path: Path) -> None:
    saved(
        tmp_path,
        """
        rows <- data.frame(
          number = c(-0, 1e-300, 0.1 + 0.2, 1e22, NA, NaN, -Inf), whole = c(1:6, NA),
          yes = c(TRUE, FALSE, NA)[1 + 0:6 %% 3],
          text = c("no", "1e3", "~", "", NA, "a: {b} #c", "é\\u0085\\t\\"'\\\\"), day = as.Date("2026-01-31") + 0:6,
          when = .POSIXct(c(0, 1e9 + 0.000001, NA, 1, 2, 3, -1.5), tz = "UTC")
        )
        how <- list(
          echo = function(model, rows) rows[c("number", "whole", "yes", "text")],
          alone = function(model, rows) rows$number, times = list()
        )
        model <- function(rows) as.numeric(rows$day) + as.numeric(rows$when)
        tandem_save(model, "m", rows, folder = f, golden = 7, outputs = how)
        """,
    )
    found = golden_of(tmp_path)
    assert [g["echo"] for g in found] == [
        {k: v for k, v in g["row"].items() if k in ("number", "whole", "yes", "text")} for g in found
    ]
    numbers = ["-0.0", "1e-300", "0.30000000000000004", "1e+22", "None", "'NaN'", "'-Inf'"]
    assert [repr(g["alone"]) for g in found] == numbers
    assert [g["row"]["whole"] for g in found] == [1, 2, 3, 4, 5, 6, None]
    assert [g["row"]["yes"] for g in found] == [True, False, None, True, False, None, True]
    assert [g["row"]["when"] for g in found[:3]] == ["1970-01-01T00:00:00Z", "2001-09-09T01:46:40.000001Z", None]
    assert found[6]["row"]["when"] == "1969-12-31T23:59:58.500000Z"
    assert found[6]["row"]["day"] == "2026-02-06"
    assert [g["row"]["text"] for g in found] == ["no", "1e3", "~", "", None, "a: {b} #c", "é\x85\t\"'\\"]


def test_the_model_file_and_its_sidecar_stand_alone_in_the_folder(tmp_path: Path) -> None:
    told = saved(tmp_path, 'tandem_save(lm(dist ~ speed, cars), "stop", cars, "Stopping", folder = f)')
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stop.rds", "stop.yaml"]
    assert (tmp_path / "stop.yaml").stat().st_ctime_ns <= (tmp_path / "stop.rds").stat().st_ctime_ns
    assert "input     speed: numeric" in told
    assert "left out  dist" in told
    assert "output    response" in told
    assert "row: {speed: 4}" in told


def test_an_unknown_class_is_saved_without_golden_rows_unless_its_outputs_are_said(tmp_path: Path) -> None:
    own = """
    predict.mine <- function(object, newdata, times = 1, ...) newdata$x * times
    mine <- structure(list(), class = "mine")
    rows <- data.frame(x = c(1.5, 2), z = 1:2)
    """
    assert "not known here" in saved(tmp_path, own + 'tandem_save(mine, "m", rows, folder = f)')
    assert "golden" not in (tmp_path / "m.yaml").read_text().replace("golden     none", "")
    saved(
        tmp_path,
        own + 'tandem_save(mine, "m", rows, outputs = list(twice = list(times = 2)), arguments = list(), folder = f)',
    )
    assert golden_of(tmp_path) == [{"row": {"x": 1.5}, "twice": 3}, {"row": {"x": 2}, "twice": 4}]


def test_arguments_are_those_of_the_server_too(tmp_path: Path) -> None:
    saved(
        tmp_path,
        """
        predict.mine <- function(object, newdata, by = 1, of = "a", ...) newdata$x * sum(by)
        how <- list(response = list())
        tandem_save(structure(list(), class = "mine"), "m", data.frame(x = 1.5), outputs = how, folder = f,
          arguments = list(by = c(0.5, 0.25), of = "yes"))
        """,
    )
    assert parse((tmp_path / "m.yaml").read_bytes()).arguments == {"by": [0.5, 0.25], "of": "yes"}
    assert golden_of(tmp_path)[0]["response"] == 1.125


def test_a_row_that_is_answered_differently_each_time_is_not_golden(tmp_path: Path) -> None:
    done = save(tmp_path, 'tandem_save(function(rows) rows$x + runif(nrow(rows)), "m", data.frame(x = 1), folder = f)')
    assert done.returncode == 0
    assert "differently each time" in done.stderr
    assert "golden" not in (tmp_path / "m.yaml").read_text()


def test_a_function_of_ones_own_in_the_formula_is_warned_of(tmp_path: Path) -> None:
    own = "twice <- function(x) 2 * x; model <- lm(dist ~ twice(speed), cars)"
    done = save(tmp_path, own + '; tandem_save(model, "m", cars, folder = f)')
    assert "calls twice(), a function of yours" in done.stderr


WRONG = {
    "a path for a name": ('tandem_save(model, "a/b", cars, folder = f)', "no path"),
    "a missing column": ('tandem_save(model, "m", cars["dist"], folder = f)', "'example' lacks 'speed'"),
    "no model": ('tandem_save(list(1), "m", cars, folder = f)', "predict() fails on the rows of 'example'"),
    "columns of a data frame": (
        'tandem_save(lm(cars$dist ~ cars$speed), "m", cars, folder = f)',
        "50 answers for 3 rows",
    ),
    "no rows": ('tandem_save(model, "m", cars[0, ], folder = f)', "at least one row"),
    "a matrix": ('tandem_save(model, "m", as.matrix(cars), folder = f)', "must be a data frame"),
    "no folder": ('tandem_save(model, "m", cars, folder = "nowhere")', "there is no folder 'nowhere'"),
    "an unknown output": ('tandem_save(model, "m", cars, outputs = "prob", folder = f)', "say how it is got"),
    "arguments without names": ('tandem_save(model, "m", cars, arguments = list(1), folder = f)', "named list"),
    "a column nobody can send": (
        'cars$speed <- as.difftime(cars$speed, units = "secs"); tandem_save(lm(dist ~ as.numeric(speed), cars), "m", '
        "cars, folder = f)",
        "of class difftime",
    ),
    "an output of no shape": (
        'tandem_save(model, "m", cars, outputs = list(a = function(model, rows) NULL), folder = f)',
        "answers for 3 rows",
    ),
}


@pytest.mark.parametrize(("code", "told"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_refused_with_the_reason(tmp_path: Path, code: str, told: str) -> None:
    assert told in " ".join(refused(tmp_path, f"model <- lm(dist ~ speed, cars); {code}").split())
