"""Whether a pattern that an administrator gives fits anything that is served."""

import logging
from collections.abc import Callable, Iterable, Sequence

from fastapi import Request

from auth.principal import EVERY_TARGET, fits
from auth.setup import SHOWS_ALL

log = logging.getLogger(__name__)


def warning_of_grant(request: Request, patterns: Sequence[str]) -> str | None:
    """What is odd about a grant on these targets; the log has it too where it is about what others may see.

    The application says by `app.state.shows_all` whether its documentation shows every target to anybody.
    """
    warnings = [warning_of(request, patterns)]
    if "*" not in patterns and getattr(request.app.state, "shows_all", False):
        log.warning(SHOWS_ALL)
        warnings.append(SHOWS_ALL)
    return " ".join(filter(None, warnings)) or None


def warning_of(request: Request, patterns: Sequence[str]) -> str | None:
    """A warning where a pattern fits no target that there is now; one may still come, so it is no reason to refuse.

    The application says what there is by a function in `app.state.targets`.
    """
    served: Callable[[], Iterable[str]] | None = getattr(request.app.state, "targets", None)
    if served is None:
        return None
    names = set(served())
    idle = [one for one in patterns if one not in EVERY_TARGET and not any(fits(one, name) for name in names)]
    return f"No model that is here now fits {', '.join(idle)}." if idle else None
