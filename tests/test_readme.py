"""The documentation is true: its command blocks run against a real server, its tables equal the code, its links lead
somewhere.

Fenced blocks in bash, r and python are run, in the order of the page; the bash blocks of a page share one shell. The
code runs as printed, in a folder where `.tandem`, `r_models` and `.venv` lie, only with the test server's port in place
of 8000. A json or text block that follows is what it must print: text to the letter; JSON by value, where numbers may
differ in the twelfth digit, a version is any version, and a request id any id. Blocks in sh are shown, not run.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from auth import errors as auth_errors
from server import logs
from server.catalog.files import NOT_SERVED
from server.config import PREFIX, Settings
from server.pools.models import REPLACED
from server.web.problems import STATUS
from server.wire.models import LoadCode
from tests.harness.tandem import ROOT, Tandem, eventually

README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
SCORING = ROOT / "docs" / "scoring.md"
OPEN_INFERENCE = ROOT / "docs/dialects/open-inference.md"
MLFLOW = ROOT / "docs/dialects/mlflow.md"
AZURE_ML = ROOT / "docs/dialects/azure-ml.md"
MLS = ROOT / "docs/dialects/machine-learning-server.md"
VETIVER = ROOT / "docs/dialects/vetiver.md"
SETTINGS = ROOT / "docs" / "settings.md"
FOLDERS = ("docs", "docker", "k8s", "r_models", "python_models")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
LONGEST_README_WORDS = 1300
RUN = ("bash", "r", "python")
VERSION = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    shown: str | None
    """What the page says that it prints."""
    shown_as: str | None


def blocks(page: Path) -> list[Block]:
    """The page's blocks that are run, with what it shows after each."""
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    found = []
    for fence, following in zip(fences, [*fences[1:], None][: len(fences)], strict=True):
        if fence[1] in RUN:
            adjacent = following is not None and not page.read_text()[fence.end() : following.start()].strip()
            shown = following if adjacent and following is not None and following[1] in ("json", "text") else None
            found.append(Block(fence[1], fence[2], shown and shown[2], shown and shown[1]))
    return found


class Reader:
    """Somebody who does what a page says, in a folder laid out like the repository's."""

    def __init__(self, tandem: Tandem, folder: Path) -> None:
        self._tandem = tandem
        self._folder = folder
        (folder / ".tandem").symlink_to(tandem.folder / "data")
        (folder / "r_models").symlink_to(tandem.r_models)
        (folder / ".venv").symlink_to(Path(sys.prefix))

    def run(self, language: str, *codes: str) -> list[str]:
        """What each piece of code prints. Those in bash run in one shell."""
        codes = tuple(code.replace("127.0.0.1:8000", f"127.0.0.1:{self._tandem.port}") for code in codes)
        match language:
            case "bash":
                script = "set -euo pipefail\n" + "".join(f"{code}\nprintf '\\0'\n" for code in codes)
                return self._output("bash", "-c", script).split("\0")[:-1]
            case "r":
                return [self._output("Rscript", "--vanilla", "-e", code) for code in codes]
            case _:
                return [self._output(sys.executable, "-c", code) for code in codes]

    def _output(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._tandem.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def reader(tandem: Tandem, tmp_path: Path) -> Reader:
    return Reader(tandem, tmp_path)


@pytest.fixture(scope="module")
def all_examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """Has what `make run` has: the examples of every runtime."""
    tandem = Tandem(tmp_path_factory.mktemp("all-examples"))
    for folder in (tandem.r_models, tandem.python_models):
        shutil.copytree(ROOT / folder.name, folder, dirs_exist_ok=True)
    tandem.start()
    yield tandem
    tandem.stop()


@pytest.fixture
def reader_with_all_examples(all_examples: Tandem, tmp_path: Path) -> Reader:
    return Reader(all_examples, tmp_path)


def assert_prints(block: Block, printed: str) -> None:
    match block.shown_as:
        case "text":
            assert printed == block.shown
        case "json":
            assert_alike(json.loads(printed), json.loads(block.shown or ""))


def assert_alike(given: Any, shown: Any, name: str = "") -> None:
    """Equal, as far as the module's docstring says."""
    if isinstance(shown, dict):
        assert given.keys() == shown.keys()
        for key, value in shown.items():
            assert_alike(given[key], value, key)
    elif isinstance(shown, list):
        assert len(given) == len(shown)
        for one, other in zip(given, shown, strict=True):
            assert_alike(one, other)
    elif isinstance(shown, float):
        assert math.isclose(given, shown, rel_tol=1e-11), (name, given, shown)
    elif name == "version":
        assert VERSION.fullmatch(given)
        assert VERSION.fullmatch(shown)
    elif name == "request_id":
        assert isinstance(given, str)
        assert given
    else:
        assert given == shown, name


# Command blocks


@pytest.mark.parametrize(
    ("page", "shown"),
    [(README, 2), (SCORING, 8), (OPEN_INFERENCE, 2), (MLFLOW, 2), (AZURE_ML, 2), (VETIVER, 2), (MLS, 2)],
    ids=lambda value: getattr(value, "stem", ""),
)
def test_the_shell_examples_print_what_the_page_shows(page: Path, shown: int, reader_with_all_examples: Reader) -> None:
    found = [b for b in blocks(page) if b.language == "bash"]
    assert [b.shown_as is None for b in found] == [True] + [False] * (shown - 1), "the first one gets a token"
    printed = reader_with_all_examples.run("bash", *(b.code for b in found))
    assert len(printed) == len(found)
    for block, output in zip(found, printed, strict=True):
        assert_prints(block, output)


def test_the_python_example_prints_what_the_readme_shows(reader: Reader) -> None:
    (block,) = [b for b in blocks(README) if b.language == "python"]
    assert block.shown_as == "json"
    assert_prints(block, reader.run("python", block.code)[0])


def test_the_example_of_tritons_client_prints_what_the_page_shows(reader: Reader) -> None:
    (block,) = [b for b in blocks(OPEN_INFERENCE) if b.language == "python"]
    assert block.shown_as == "json"
    assert_prints(block, reader.run("python", block.code)[0])


def test_the_r_example_prints_what_the_readme_shows(reader: Reader) -> None:
    """Needs httr (Debian: r-cran-httr)."""
    example, _ = [b for b in blocks(README) if b.language == "r"]
    assert example.shown_as == "text"
    assert_prints(example, reader.run("r", example.code)[0])


def test_what_the_readme_publishes_from_r_answers(tandem: Tandem, reader: Reader) -> None:
    _, publish = [b for b in blocks(README) if b.language == "r"]
    with _taken_back(tandem, "cars"):
        reader.run("r", publish.code)
        assert eventually(lambda: tandem.version("cars", "ready"))
        assert tandem.score("cars", {"rows": [{"speed": 21}]}).status_code == 200


@contextmanager
def _taken_back(tandem: Tandem, model: str) -> Iterator[None]:
    try:
        yield
    finally:
        (tandem.r_models / f"{model}.rds").unlink(missing_ok=True)
        eventually(lambda: not tandem.model(model))


def test_the_commands_for_operators_work(tandem: Tandem, reader: Reader) -> None:
    found = [b for b in blocks(OPERATIONS) if b.language == "bash"]
    assert len(found) == 3, "check, users, accounts over HTTP"
    checked, listed, changed = reader.run("bash", *(b.code for b in found))
    assert "would be served as boston" in checked
    assert "ann\tanalyst" in listed.splitlines()
    assert changed == ""
    assert "ann" not in tandem.command("users", "list").stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_make_target_that_make_help_does_not_list(page: Path) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^make ([\w-]+)", listed, re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([\w-]+)", page.read_text(), re.MULTILINE))
    assert named <= targets
    assert page != README or named >= {"run", "test", "bench", "help"}


# Tables


def table(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    _, found, rest = page.read_text().partition(f"# {heading}\n")
    assert found, heading
    match = re.search(r"^\|[ :|-]+\|\n((?:\|.*\|\n)+)", rest, re.MULTILINE)
    assert match, heading
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in match[1].splitlines()]


def items(page: Path, heading: str) -> list[list[str]]:
    """The items of the first list below a heading: what stands before the first colon, and the rest."""
    _, found, rest = page.read_text().partition(f"# {heading}\n")
    assert found, heading
    match = re.search(r"^(?:- .*\n(?:  .*\n)*)+", rest, re.MULTILINE)
    assert match, heading
    return [" ".join(item.split()).split(": ", 1) for item in re.split(r"^- ", match[0], flags=re.MULTILINE)[1:]]


def coded(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_settings_table_has_every_setting_with_its_default() -> None:
    shown = {coded(name)[0]: (coded(default) or [""])[0] for name, default, _ in table(SETTINGS, "Settings")}
    settings = Settings.model_fields
    assert list(shown) == [PREFIX + name.upper() for name in settings]
    assert list(shown.values()) == [_written(field.default) for field in settings.values()]


def _written(default: object) -> str:
    if default is None:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_errors_table_has_every_code_with_its_status() -> None:
    shown = [(code, int(status)) for status, codes, _ in table(OPERATIONS, "Errors") for code in coded(codes)]
    assert len(shown) == len(set(shown))
    assert dict(shown) == dict(STATUS)


def test_the_metrics_table_has_every_instrument() -> None:
    shown = [name.partition("{")[0] for names, _ in items(OPERATIONS, "Metrics") for name in coded(names)]
    source = "".join(path.read_text() for path in (ROOT / "server").glob("*metrics.py"))
    assert sorted(shown) == sorted(set(re.findall(r'"(tandem_\w+)"', source)))


def test_the_table_of_refusals_has_every_code_that_the_code_gives() -> None:
    shown = [code for codes, _ in items(OPERATIONS, "A model was refused") for code in coded(codes)]
    assert refused_in("workers") == set(get_args(LoadCode))
    given = {NOT_SERVED, REPLACED}
    for folder in ("catalog", "pools", "supervisor", "workers"):
        given |= refused_in(folder)
    assert sorted(shown) == sorted(given - {"verified"})  # what a signature was found to be, and no refusal


def refused_in(folder: str) -> set[str]:
    sources = [path for path in (ROOT / "server" / folder).rglob("*.[pR]*") if path.suffix in (".py", ".R")]
    return {code for path in sources for code in re.findall(REFUSING, path.read_text())}


REFUSING = re.compile(r'(?:LoadFailed|Signed|RefusedFile|_refuse|tandem_condition)\(\s*(?:[\w.]+,\s*)?"(\w+)"')


def test_the_reasons_of_refused_tokens_are_all_told() -> None:
    shown = [reason for reasons, _ in table(OPERATIONS, "Refused tokens") for reason in coded(reasons)]
    assert sorted(shown) == sorted(auth_errors.REASONS)


def test_every_field_of_a_log_line_is_named() -> None:
    section = OPERATIONS.read_text().partition("## Logs")[2].partition("\n## ")[0]
    assert set(coded(section)) >= set(logs.FIELDS)


def test_every_dependency_has_its_reason() -> None:
    shown = {
        name for names, _ in table(ROOT / "docs/adr/0005-dependencies.md", "Decision") for name in names.split(", ")
    }
    lines = (ROOT / "requirements.in").read_text().splitlines()
    named = {re.split(r"[=\[<>]", line)[0] for line in lines if line and not line.startswith("#")}
    assert named
    assert shown == named


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text())
    for path, anchor in links:
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor
    assert page != README or links


def anchors(page: Path) -> set[str]:
    """What a heading can be linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.read_text().split()) <= LONGEST_README_WORDS


def test_the_readme_has_one_place_for_what_was_measured() -> None:
    assert re.findall(r"<!-- /?measured -->", README.read_text()) == ["<!-- measured -->", "<!-- /measured -->"]


def test_every_file_that_the_picture_names_exists() -> None:
    picture = README.read_text().partition("## The way of a request")[2].partition("\n## ")[0]
    named = re.findall(r"\b(?:server|auth|codecs|r)/[\w/.]+\.(?:py|R)\b", picture)
    assert len(named) >= 10
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "server" / "workers" / name).exists(), name
