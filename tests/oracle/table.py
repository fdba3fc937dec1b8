"""docs/models.md: R's classes that Tandem knows, told by a running server. `python -m tests.oracle.table` writes it.

The server is one with the oracle's models; a test fails while the page says anything else than it does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from tests.harness.tandem import ROOT, Tandem
from tests.oracle.cases import Case, listed, serve

PAGE = ROOT / "docs" / "models.md"
PYTHON = "\n## Models in Python\n"
"""Where the part begins that `tests.server.workers.python.page` writes."""

HEAD = """\
# Model classes

Of R first; [those of Python](#models-in-python) below.

<!-- Written by `python -m tests.oracle.table` from what a running server says of the models of tests/oracle/*.R;
     `make test` fails while it is not so. Do not edit. -->

What each class takes and gives. For every row of this table the tests send at least 200 rows through HTTP, with missing
values and unusual levels among them, and compare every output with what `predict()` answers in plain R on the same
rows: the doubles are the same to the last bit, the labels the same to the letter.

- **outputs**: what a request may ask for as `"output"`; the first is the default. With several values a row, the
  reply has an object a row.
- **options**: what a request may say in `"options"`.
- **missing values**: what becomes of rows with `null` in an input. Where it is refused, the request is answered 422.
  Where a line has more than one answer, it depends on the model.

Other classes with a `predict` method are tried as `predict(model, rows)`, or with the rows as `newdata` where that
argument stands elsewhere. Where the method has an argument `type`, the outputs are called what it may be: `response`,
`link`, `class`, `prob` and the like, `response` before the link.

Of packages that Debian does not have, these are known where the package is installed, and not in the table: fitted
workflows and parsnip's `model_fit` (`response`, `conf_int`, `pred_int`, or `class` and `prob`), models made with
hardhat, xgboost's `xgb.Booster` and its bytes (`response`, `link`), mlr3's learners (`response`, `se`, or `class` and
`prob`), and what a `bundle` holds.

| class | package | outputs | options | missing values |
|---|---|---|---|---|
"""


def page(cases: Mapping[str, Case], details: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's text."""
    lines: dict[tuple[str, ...], set[str]] = {}
    for name, case in cases.items():
        said = details[name]
        schema = said["schema"]
        key = (f"`{class_of(said)}`", said.get("package") or "-", _outputs(schema), _options(schema))
        lines.setdefault(key, set()).update(_missing(case, schema))
    told = (" | ".join((*key, _joined(missing))) for key, missing in lines.items())
    return HEAD + "".join(f"| {line} |\n" for line in sorted(told, key=str.lower))


def _joined(missing: Set[str]) -> str:
    """What is known of all cases of a line, without what a stronger word of another case says already."""
    known = missing - {"taken"} if missing & {"answered NA", "predicted"} else missing
    known = known - {"refused in some inputs"} if "refused" in known else known
    return ", ".join(sorted(known)) or "-"


def class_of(details: Mapping[str, Any]) -> str:
    """The class that a model is known by, the first of all that it has."""
    return str(details.get("model_class") or "?").partition(",")[0]


def _outputs(schema: Mapping[str, Any]) -> str:
    return ", ".join(f"`{output['name']}`" for output in schema["outputs"])


def _options(schema: Mapping[str, Any]) -> str:
    return ", ".join(f"`{option['name']}`" for option in schema.get("options", ())) or "-"


def _missing(case: Case, schema: Mapping[str, Any]) -> Iterator[str]:
    taking = {i["name"] for i in schema["inputs"] if i["na"]}
    if len(taking) < len(schema["inputs"]):
        yield "refused in some inputs" if taking else "refused"
    answered = list(_answered(case, schema["outputs"][0]["name"], taking))
    if taking and not answered:
        yield "taken"
    if any(answered):
        yield "answered NA"
    if not all(answered):
        yield "predicted"


def _answered(case: Case, output: str, taking: Set[str]) -> Iterator[bool]:
    """For each row in which an input is missing, whether the answer is missing too."""
    if case.rows is None or output not in case.expected:
        return
    for row, answers in zip(case.rows, case.expected[output].rows, strict=True):
        if any(row.get(name) is None for name in taking):
            yield None in answers


def main(arguments: Sequence[str]) -> int:
    """Write the page."""
    with tempfile.TemporaryDirectory(prefix="tandem-oracle-") as folder:
        tandem = Tandem(Path(folder) / "tandem")
        try:
            cases, details = serve(Path(folder), tandem, listed())
        finally:
            if tandem.process is not None:
                tandem.stop()
    broken = {one.file: one.error for one in listed() if one.error}
    broken |= {name: case.error for name, case in cases.items() if case.error}
    broken |= {name: said.get("reason") for name, said in details.items() if said["state"] != "ready"}
    for name, reason in broken.items():
        sys.stderr.write(f"{name}: {reason}\n")
    if not broken or "--partial" in arguments:
        _, mark, rest = PAGE.read_text().partition(PYTHON)
        PAGE.write_text(page({n: case for n, case in cases.items() if n not in broken}, details) + mark + rest)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
