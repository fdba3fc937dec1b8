"""What predict() answers in plain R is what a caller gets, bit for bit, for every class that Tandem knows.

The cases are in the *.R files of this folder, one a class; `run.R` says what a case is. Rows go through HTTP all in
one request, and some of them again each in a request of its own, all of those at once so that they meet in batches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import httpx
import orjson
import pytest

from tests.harness.tandem import ROOT, Tandem, run_r
from tests.oracle.cases import FEWEST_ROWS, Answer, Case, Listed, differences, listed, same, serve
from tests.oracle.summary import PROPERTY, Compared
from tests.oracle.table import PAGE, PYTHON, class_of, page

pytestmark = pytest.mark.timeout(1800)
"""The first test waits until plain R has fitted and a server has read every model: nine minutes on two cores."""
AT_ONCE = 10
NOT_IN_DEBIAN = {"workflow", "hardhat_model", "model_fit", "xgb.Booster", "Learner"}
"""Classes of packages that only CRAN has: testthat tests them where these are, and what can be had without."""

METHODS = re.compile(r"^predict_rows[.](\w[\w.]*) <- function", re.MULTILINE)


@dataclass(frozen=True)
class Oracle:
    """Plain R's answers and a server with the same models."""

    cases: Mapping[str, Case]
    details: Mapping[str, Mapping[str, Any]]
    """Of each model that R could save."""
    tandem: Tandem
    client: httpx.Client

    def ask(self, case: Case, output: str, rows: Sequence[Mapping[str, Any]] | None) -> list[Any]:
        """The predictions for some rows of a case."""
        body = orjson.dumps(case.request(output, rows))
        reply = self.client.post(f"/v1/models/{case.name}/score", content=body)
        assert reply.status_code == 200, f"answered {reply.status_code}: {reply.text[:1000]}"
        predictions: list[Any] = orjson.loads(reply.content)["predictions"]
        return predictions

    def ask_alone(self, case: Case, output: str) -> dict[int, list[Any]]:
        """The predictions for some rows, each asked for in a request of its own."""
        chosen = list(case.alone[output])
        assert case.rows is not None
        with ThreadPoolExecutor(AT_ONCE) as pool:
            given = pool.map(lambda at: self.ask(case, output, [case.rows[at]]), chosen)  # type: ignore[index]
            return dict(zip(chosen, given, strict=True))


@pytest.fixture(scope="module")
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """All cases, or only those that the selected tests ask for."""
    folder = tmp_path_factory.mktemp("oracle")
    tandem = Tandem(tmp_path_factory.mktemp("oracle-tandem"))
    try:
        cases, details = serve(folder, tandem, _wanted(request.session.items))
        headers = tandem.headers() | {"content-type": "application/json"}
        with httpx.Client(base_url=tandem.url, headers=headers, timeout=60) as client:
            yield Oracle(cases, details, tandem, client)
    finally:
        if tandem.process is not None:
            tandem.stop()


def _wanted(items: Sequence[pytest.Item]) -> list[Listed]:
    mine = [item for item in items if "oracle" in getattr(item, "fixturenames", ())]
    chosen = {item.callspec.params.get("one") for item in mine if hasattr(item, "callspec")}
    whole = any(not hasattr(item, "callspec") for item in mine)
    return [one for one in listed() if whole or one in chosen]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "one" in metafunc.fixturenames:
        metafunc.parametrize("one", listed(), ids=lambda one: one.label)


def test_predictions_are_those_of_plain_r(
    one: Listed, oracle: Oracle, record_property: Callable[[str, object], None]
) -> None:
    result = _compare(one, oracle)
    if re.search("no package called .gbm.", result.fault):  # Debian 12 has it, and `make test` installs it there
        pytest.skip("Debian 13 has no r-cran-gbm")
    record_property(PROPERTY, astuple(result))
    if result.fault:
        pytest.fail(result.fault, pytrace=False)


def _compare(one: Listed, oracle: Oracle) -> Compared:
    if one.error:
        return Compared("", one.file, "", fault=f"{one.file}.R cannot be read: {one.error}")
    case = oracle.cases[one.case]
    if case.error:
        return Compared("", one.case, one.output, fault=f"plain R has no answer: {case.error}")
    expected = case.expected[one.output]
    rows = len(expected.rows)
    details = oracle.details[one.case]
    known_as = class_of(details)
    fault = _unfit(case, details)
    if fault:
        return Compared(known_as, one.case, one.output, rows, fault=fault)
    try:
        wrong = differences(expected, oracle.ask(case, one.output, case.rows))
        wrong_alone = _differences_alone(case, one.output, oracle)
    except AssertionError as error:
        return Compared(known_as, one.case, one.output, rows, fault=str(error))
    fault = _told(case, wrong) if wrong else ""
    if not wrong and wrong_alone:
        fault = "each row in a request of its own: " + _told(case, wrong_alone)
    unequal = {at for at, _ in (*wrong, *wrong_alone)}
    return Compared(known_as, one.case, one.output, rows, rows - len(unequal), fault)


def _unfit(case: Case, details: Mapping[str, Any]) -> str:
    if details["state"] == "loading":
        return "still loading when it was time to ask"
    if details["state"] != "ready":
        return f"refused ({details.get('code')}): {details.get('reason')}"
    if case.rows is not None and len(case.rows) < FEWEST_ROWS:
        return f"only {len(case.rows)} rows; {FEWEST_ROWS} are the least"
    return ""


def _differences_alone(case: Case, output: str, oracle: Oracle) -> list[tuple[int, str]]:
    if case.rows is None:
        return []
    given = oracle.ask_alone(case, output)
    return [
        (at, difference)
        for at, expected in case.alone[output].items()
        for _, difference in differences(expected, given[at])
    ]


def _told(case: Case, wrong: Sequence[tuple[int, str]]) -> str:
    lines = [
        f"row {at}: {difference}" + (f" for {case.rows[at]}" if case.rows is not None else "")
        for at, difference in wrong[:5]
    ]
    return f"{len(wrong)} rows differ\n" + "\n".join(lines)


def test_the_page_of_classes_says_what_the_server_says(oracle: Oracle) -> None:
    """When it fails: python -m tests.oracle.table"""
    broken = [name for name in oracle.cases if oracle.details.get(name, {}).get("state") != "ready"]
    assert not broken, f"not served: {broken}"
    assert PAGE.read_text().partition(PYTHON)[0] == page(oracle.cases, oracle.details)


def test_every_class_with_a_file_of_its_own_has_a_case(oracle: Oracle) -> None:
    served = {name for case in oracle.cases.values() for name in case.classes}
    served |= {class_of(details) for details in oracle.details.values()}
    files = (ROOT / "server" / "workers" / "r" / "R").glob("*.R")
    known = {name for file in files for name in METHODS.findall(file.read_text())} - {"default"} - NOT_IN_DEBIAN
    assert known <= served


KNOWN = """
folder <- commandArgs(TRUE)
source(folder[2])
for (file in list.files(folder[1], "[.]rds$", full.names = TRUE)) {
  writeLines(paste(c(sub("[.]rds$", "", basename(file)), names(tandem_known_outputs(readRDS(file)))), collapse = " "))
}
"""


def test_tandem_save_knows_the_outputs_as_the_server_does(oracle: Oracle) -> None:
    told = run_r(KNOWN, str(oracle.tandem.r_models), str(ROOT / "r_models" / "tandem.R"))
    known = {name: outputs for name, *outputs in (line.split() for line in told.splitlines())}
    assert any(known.values())
    for name, outputs in known.items():
        served = [o["name"] for o in oracle.details[name].get("schema", {}).get("outputs", ())]
        assert outputs == [] or (set(outputs) <= set(served) and outputs[0] == served[0]), name


# The comparing itself


@pytest.mark.parametrize(
    ("kind", "expected", "given", "alike"),
    [
        ("double", "0x1.8p+0", 1.5, True),
        ("double", "0x1.8000000000001p+0", 1.5, False),
        ("double", "0x1p+0", 1, False),
        ("double", "0x0p+0", -0.0, False),
        ("double", "-0x0p+0", -0.0, True),
        ("double", None, None, True),
        ("double", None, "NaN", False),
        ("double", "NaN", "NaN", True),
        ("double", "NaN", None, False),
        ("double", "Inf", "Inf", True),
        ("double", "-Inf", "Inf", False),
        ("integer", 1, 1, True),
        ("integer", 1, True, False),
        ("integer", 1, 1.0, False),
        ("logical", True, True, True),
        ("logical", True, 1, False),
        ("character", "é", "é", True),
        ("character", "a", None, False),
    ],
)
def test_cells_are_compared_to_the_bit(kind: str, expected: Any, given: Any, alike: bool) -> None:
    assert same(kind, expected, given) is alike


def test_columns_are_compared_by_name() -> None:
    expected = Answer(["a", "b"], ["double", "double"], [("0x1p+0", "0x1p+1"), ("0x1p+0", None)])
    assert differences(expected, [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": None}]) == []
    assert [at for at, _ in differences(expected, [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}])] == [1]
    assert [at for at, _ in differences(expected, [{"b": 2.0, "a": 1.0}, {"a": 1.0}])] == [0, 1]
    assert [at for at, _ in differences(expected, [{"a": 1.0, "b": 2.0}])] == [0]
