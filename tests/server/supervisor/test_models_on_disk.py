"""From files to endpoints: what an analyst drops, replaces, breaks and deletes, and what becomes of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from sklearn.linear_model import LinearRegression

from tests.harness.load import Load
from tests.harness.tandem import Tandem, eventually, run_r

SPEED = {"rows": [{"speed": 10}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """One server with one good model, which every test leaves serving."""
    tandem = Tandem(tmp_path_factory.mktemp("disk"), load_timeout_s=15)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.start()
    yield tandem
    assert tandem.score("cars", SPEED).status_code == 200
    assert tandem.stop() == 0


def refused(server: Tandem, name: str) -> tuple[str, str]:
    """The code and the reason with which a model was refused."""
    version = eventually(lambda: server.version(name, "failed"))
    return version["code"], version["reason"]


def test_a_dropped_file_becomes_an_endpoint_within_five_seconds(server: Tandem) -> None:
    server.drop("dropped", "lm(dist ~ speed, cars)")
    reply = eventually(lambda: (r := server.score("dropped", SPEED)).status_code == 200 and r, timeout_s=15)
    [prediction] = reply.json()["predictions"]
    expected = run_r("cat(sprintf('%a', predict(lm(dist ~ speed, cars), data.frame(speed = 10))))")
    assert prediction == float.fromhex(expected)
    assert "/v1/models/dropped/score" in server.get("/openapi.json").json()["paths"]


def test_a_deleted_file_ends_its_endpoint(server: Tandem) -> None:
    server.drop("leaving", "lm(dist ~ speed, cars)")
    eventually(lambda: server.score("leaving", SPEED).status_code == 200)
    (server.r_models / "leaving.rds").unlink()
    eventually(lambda: server.score("leaving", SPEED).status_code == 404)
    assert "/v1/models/leaving/score" not in server.get("/openapi.json").json()["paths"]
    assert server.model("leaving") == {}


def test_a_replaced_file_fails_and_mixes_nothing_under_load(server: Tandem) -> None:
    """Every answer names a version and is exactly that version's answer."""
    server.drop("swapped", "lm(dist ~ speed, cars)")
    eventually(lambda: server.score("swapped", SPEED).status_code == 200)
    answers: dict[str, set[float]] = {}

    def check(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"status {status}: {body!r}"
        reply = orjson.loads(body)
        answers.setdefault(reply["version"], set()).update(reply["predictions"])
        return None

    with Load(server, "swapped", SPEED, check) as load:
        for power in (2, 3, 4):
            before = server.model("swapped")["version"]
            server.drop("swapped", f"lm(dist ~ I(speed^{power}), cars)")
            eventually(lambda old=before: server.model("swapped")["version"] != old)
    assert load.wrong == []
    assert load.answered > 100
    assert len(answers) == 4
    assert all(len(predictions) == 1 for predictions in answers.values())
    assert len(set.union(*answers.values())) == 4


def test_a_broken_file_is_refused_with_a_reason_while_the_old_version_serves(server: Tandem) -> None:
    server.drop("mended", "lm(dist ~ speed, cars)")
    version = eventually(lambda: server.version("mended", "ready"))["version"]
    path = server.r_models / "mended.rds"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    code, reason = refused(server, "mended")
    assert code == "unreadable"
    assert "truncated" in reason
    assert server.score("mended", SPEED).json()["version"] == version
    assert server.model("mended")["state"] == "ready"
    path.write_bytes(whole)
    eventually(lambda: server.version("mended", "failed") is None)
    assert server.score("mended", SPEED).json()["version"] == version


def test_version_folders_serve_side_by_side_and_the_highest_is_current(server: Tandem) -> None:
    for version in ("1.9", "1.10"):
        folder = server.r_models / "versioned" / version
        folder.mkdir(parents=True)
        run_r("saveRDS(lm(dist ~ speed, cars), commandArgs(TRUE))", str(folder / "model.rds"))
    eventually(lambda: len(server.model("versioned").get("versions", [])) == 2)
    eventually(lambda: server.score("versioned", SPEED).json().get("version") == "1.10")
    of_old = "/v1/models/versioned/versions/1.9/score"
    eventually(lambda: server.score("versioned", SPEED, path=of_old).json().get("version") == "1.9")
    documented = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {path for path in documented if "/versioned/" in path} == {
        "/v1/models/versioned/score",
        "/v1/models/versioned/versions/1.9/score",
    }
    shutil.rmtree(server.r_models / "versioned" / "1.10")
    eventually(lambda: server.score("versioned", SPEED).json().get("version") == "1.9")


def test_models_of_different_packages_live_side_by_side(server: Tandem) -> None:
    server.drop("forest", "set.seed(1); randomForest::randomForest(dist ~ speed, cars, ntree = 5)")
    server.drop("tree", "rpart::rpart(dist ~ speed, cars)")
    server.drop("ranger", "ranger::ranger(dist ~ speed, cars, num.trees = 5, num.threads = 1, seed = 1)")
    for name in ("forest", "tree", "ranger"):
        eventually(lambda name=name: server.score(name, SPEED).status_code == 200)


@pytest.mark.parametrize(
    ("r_code", "code", "words"),
    [
        pytest.param("mtcars", "not_a_model", "a data frame of 32 rows", id="data-frame"),
        pytest.param("structure(list(a = 1), class = 'mystery')", "", "mystery", id="unknown-class"),
        pytest.param(
            "structure(list(call = quote(absent::fit(y ~ x))), class = 'absent')",
            "package_missing",
            "absent",
            id="missing",
        ),
    ],
)
def test_what_is_no_model_is_refused(server: Tandem, r_code: str, code: str, words: str) -> None:
    name = "refused" + code.replace("_", "")
    server.drop(name, r_code)
    found, reason = refused(server, name)
    assert code in found
    assert words in reason
    assert str(server.r_models) not in reason


def test_an_empty_and_a_foreign_file_are_refused(server: Tandem) -> None:
    (server.r_models / "empty.rds").write_bytes(b"")
    (server.r_models / "foreign.rds").write_bytes(b"PK\x03\x04 this is no R")
    assert refused(server, "empty") == ("unreadable", "the file is empty; write it again with saveRDS(model, file)")
    assert refused(server, "foreign")[0] == "unreadable"


def test_a_refused_file_is_tried_again_when_it_is_touched(server: Tandem) -> None:
    """As after installing the package that it lacked: its bytes are the same."""
    path = server.r_models / "touched.rds"
    path.write_bytes(b"")
    eventually(lambda: server.version("touched", "failed"))
    tried = len([line for line in server.log_lines() if line.get("model") == "touched"])
    path.touch()
    eventually(lambda: len([line for line in server.log_lines() if line.get("model") == "touched"]) > tried)


def test_a_model_without_a_schema_is_told_the_sidecar_lines_that_cure_it_and_they_do(server: Tandem) -> None:
    """Its predict method comes from an installed package; its inputs are nowhere in it."""
    server.drop(
        "bare", "m <- lm(dist ~ speed, cars); m$terms <- NULL; m$model <- NULL; class(m) <- c('bare', 'loess'); m"
    )
    code, reason = refused(server, "bare")
    assert code == "no_schema", reason
    assert "schema:\n  inputs:\n    - {name: speed, type: numeric}" in reason


def test_a_function_that_left_its_model_in_the_workspace_is_told_so(server: Tandem) -> None:
    (server.r_models / "left.yaml").write_text("schema:\n  inputs:\n    - {name: speed, type: numeric}\n")
    server.drop("left", "f <- function(df) predict(fit_of_mine, df); environment(f) <- globalenv(); f")
    code, reason = refused(server, "left")
    assert code == "predict_fails", reason
    assert "uses `fit_of_mine`, which stayed in your workspace" in reason
    assert "golden" not in reason


def test_a_sidecar_corrects_the_schema(server: Tandem) -> None:
    server.drop("corrected", "lm(dist ~ speed, cars)")
    eventually(lambda: server.score("corrected", {"rows": [{"speed": 1.5}]}).status_code == 200)
    sidecar = server.r_models / "corrected.yaml"
    sidecar.write_text("description: Stopping distance\nschema:\n  inputs:\n    - {name: speed, type: integer}\n")
    eventually(lambda: server.score("corrected", {"rows": [{"speed": 1.5}]}).status_code == 422)
    assert server.score("corrected", {"rows": [{"speed": 2.0}]}).status_code == 200
    assert server.version("corrected", "ready")["description"] == "Stopping distance"


def test_a_sidecar_with_an_unknown_key_is_refused_by_its_name(server: Tandem) -> None:
    server.drop("keyed", "lm(dist ~ speed, cars)")
    (server.r_models / "keyed.yaml").write_text("descripton: typo\n")
    eventually(lambda: server.version("keyed", "failed"))
    code, reason = refused(server, "keyed")
    assert code == "bad_sidecar"
    assert "'descripton'" in reason
    assert "description" in reason


def test_golden_rows_refuse_a_model_that_answers_otherwise(server: Tandem) -> None:
    (server.r_models / "golden.yaml").write_text("golden:\n  - row: {speed: 10}\n    response: 21.0\n")
    server.drop("golden", "lm(dist ~ speed, cars)")
    code, reason = refused(server, "golden")
    assert code == "golden_mismatch"
    assert "expected response 21.0, the model answers 21.7" in reason
    right = reason.rpartition(" ")[2]
    (server.r_models / "golden.yaml").write_text(f"golden:\n  - row: {{speed: 10}}\n    response: {right}\n")
    eventually(lambda: server.score("golden", SPEED).status_code == 200)
    assert server.version("golden", "ready")["golden_rows"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("repeat {}", "hangs", id="hanging"),
        pytest.param("tools::pskill(Sys.getpid(), 9L)", "crashes", id="crashing"),
        pytest.param("stop('no luck')", "predict_fails", id="erring"),
    ],
)
def test_a_file_that_breaks_its_reader_costs_nothing(server: Tandem, body: str, code: str) -> None:
    """The trap is a function in the formula's environment, set after the fit: an untouched lm in all else."""
    others = [server.r_models / f"good{code}{i}.rds" for i in range(2)]
    server.drop(
        f"trap{code}",
        f"local({{f <- function(x) x; m <- lm(dist ~ f(speed), cars); f <- function(x) {{ {body} }}; m}})",
    )
    for path in others:
        run_r("saveRDS(lm(dist ~ speed, cars), commandArgs(TRUE))", str(path))
    found, _ = refused(server, f"trap{code}")
    assert found == code
    for path in others:
        eventually(lambda name=path.stem: server.score(name, SPEED).status_code == 200)


def test_where_there_is_no_r_its_models_are_refused_in_plain_words(
    tandem_factory: Callable[..., Tandem], tmp_path: Path
) -> None:
    tandem = tandem_factory()
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.environment["PATH"] = str(tmp_path)
    tandem.start()
    version = eventually(lambda: tandem.version("cars", "failed"))
    assert version["code"] == "no_runtime"
    assert version["reason"].endswith("R is not installed on this server")
    assert "Traceback" not in tandem.log_path.read_text()


def test_a_folder_with_score_r_is_a_model_and_what_lies_beside_it_counts(server: Tandem) -> None:
    folder = server.r_models / "scripted"
    folder.mkdir()
    (folder / "factor.txt").write_text("2")
    (folder / "model.yaml").write_text("schema:\n  inputs:\n    - {name: x, type: numeric}\n")
    script = (
        "init <- function() k <<- as.numeric(readLines('factor.txt', warn = FALSE))\nrun <- function(df) df$x * k\n"
    )
    (folder / "score.R").write_text(script)
    asked = {"rows": [{"x": 1.5}]}
    reply = eventually(lambda: (r := server.score("scripted", asked)).status_code == 200 and r)
    assert reply.json()["predictions"] == [3.0]
    (folder / "factor.txt").write_text("4")
    eventually(lambda: server.score("scripted", asked).json()["predictions"] == [6.0])


def test_a_logical_input_reaches_the_model_as_one(server: Tandem) -> None:
    """Regression: it arrived as an integer, and predict() refused it."""
    server.drop("yes", "d <- cars; d$fast <- d$speed > 15; lm(dist ~ fast, d)")
    eventually(lambda: server.score("yes", {"rows": [{"fast": True}]}).status_code == 200)
    expected = run_r(
        "d <- cars; d$fast <- d$speed > 15; new <- data.frame(fast = c(TRUE, FALSE)); "
        "cat(sprintf('%a ', predict(lm(dist ~ fast, d), new)))"
    )
    given = server.score("yes", {"rows": [{"fast": True}, {"fast": False}, {"fast": None}]}).json()["predictions"]
    assert given == [*map(float.fromhex, expected.split()), None]


def test_only_regular_files_are_read(server: Tandem) -> None:
    os.mkfifo(server.r_models / "pipe.rds")
    server.drop("after", "lm(dist ~ speed, cars)")
    eventually(lambda: server.score("after", SPEED).status_code == 200, 5)
    eventually(lambda: server.version("pipe", "failed"))


def test_details_are_for_analysts(server: Tandem) -> None:
    server.drop("shown", "stats::setNames(1:3, c('a', 'b', 'c'))")
    eventually(lambda: server.version("shown", "failed"))
    assert server.command("users", "add", "scorer", text="long enough\n").returncode == 0
    seen = server.get("/v1/models/shown", user="scorer").json()["versions"][0]
    assert seen["state"] == "failed"
    assert not {"reason", "file", "size_bytes"} & set(seen)


def test_tandem_check_tells_what_would_happen(server: Tandem, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.rds", tmp_path / "bad.rds"
    run_r("saveRDS(lm(dist ~ speed, cars), commandArgs(TRUE))", str(good))
    run_r("saveRDS(cars, commandArgs(TRUE))", str(bad))
    told = server.command("check", str(good))
    assert told.returncode == 0, told.stderr
    assert "would be served as good" in told.stdout
    assert "speed: numeric" in told.stdout
    told = server.command("check", str(bad))
    assert told.returncode == 1
    assert "not_a_model" in told.stdout


def test_the_endings_that_people_use_are_served(tandem_factory: Callable[..., Tandem]) -> None:
    server = tandem_factory()
    run_r(
        "m <- lm(dist ~ speed, cars); n <- 1; f <- commandArgs(TRUE); saveRDS(m, file.path(f, 'upper.RDS')); "
        "saveRDS(m, file.path(f, 'mixed.Rds')); save(m, n, file = file.path(f, 'image.RData')); "
        "save(m, cars, file = file.path(f, 'short.rda')); dir.create(file.path(f, 'own')); "
        "saveRDS(m, file.path(f, 'own', 'model.rds'))",
        str(server.r_models),
    )
    model = pickle.dumps(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]))
    python = {"line1.pickle": model, "line2.sav": model, "line3.PKL": model, "line4.pkl.gz": gzip.compress(model)}
    python |= {"line5.pkl.bz2": bz2.compress(model), "line6.joblib.xz": lzma.compress(model), "line7/model.pkl": model}
    for name, content in python.items():
        path = server.python_models / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    server.start(wait=False)
    eventually(server.ready, 180)
    for name in ("upper", "mixed", "image", "short", "own"):
        eventually(lambda name=name: server.score(name, SPEED).status_code == 200)
    for name in (f"line{number}" for number in range(1, 8)):
        eventually(lambda name=name: server.score(name, {"rows": [{"x0": 3}]}).status_code == 200)


def test_what_is_not_served_is_listed_with_its_cure_and_check_says_the_same(server: Tandem) -> None:
    left = (
        (server.r_models, "cars.qs", "saveRDS(model, 'NAME.rds')"),
        (server.python_models, "net.h5", "ONNX"),
        (server.python_models, "nested/other.pkl", "rename it"),
        (server.python_models, "lost/weights.dat", "the folder holds no model"),
    )
    for folder, name, _ in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    for folder, name, cure in left:
        path = folder / name
        listed = name.partition("/")[0].partition(".")[0]
        version = eventually(lambda listed=listed: server.version(listed, "failed"), 60)
        assert version["code"] == "not_served"
        assert cure in version["reason"]
        told = server.command("check", str(path if listed != "lost" else path.parent))
        assert told.returncode == 1
        assert "would be refused (not_served)" in told.stdout
        assert cure in told.stdout
        assert any(line.get("model") == listed and cure in line.get("reason", "") for line in server.log_lines())
    assert server.score("net", SPEED).status_code != 200
    assert server.metric("tandem_model_state", model="net") == 0
    assert server.get("/health/ready").status_code == 200
    assert "net" in {model["model"] for model in server.get("/v1/models").json()}
    (server.python_models / "net.h5").unlink()
    eventually(lambda: server.model("net") == {})
