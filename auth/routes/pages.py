"""Lists that come in pages."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Query

from auth.errors import AccountError

T = TypeVar("T")

LONGEST_PAGE: Final = 200
After = Annotated[str, Query(max_length=300, description="What names the last one of the page before.")]
AtMost = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many at most.")]


def page(found: Sequence[T], name: Callable[[T], str], after: str, limit: int) -> Sequence[T]:
    """Those of a list that come next, so many at most; raise `AccountError` where what it goes on after is gone."""
    begin = 0
    if after:
        begin = next((place + 1 for place, one in enumerate(found) if name(one) == after), -1)
        if begin < 0:
            raise AccountError("unknown_page")
    return found[begin : begin + limit]
