"""docs/models.md says of Python's models what is so."""

from __future__ import annotations

import pytest

from tests.oracle.table import PAGE, PYTHON
from tests.server.workers.python.page import part


@pytest.mark.filterwarnings("ignore")  # category_encoders is not up to pandas 3
def test_the_page_says_what_each_estimator_gives_and_which_files_are_read() -> None:
    _, mark, told = PAGE.read_text().partition(PYTHON)
    assert mark + told == part(), "python -m tests.server.workers.python.page writes it anew"
