"""Whether a pattern that an administrator gives fits anything that is served."""

from collections.abc import Callable, Iterable, Sequence

from fastapi import Request

from auth.principal import EVERY_TARGET, fits


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
