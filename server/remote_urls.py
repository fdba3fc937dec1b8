"""The addresses of other servers, as a setting writes them: name=url,name=url."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def listed(value: str) -> list[str]:
    """What stands between the commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def by_name(value: str) -> dict[str, str]:
    """The addresses by their names."""
    return {name: url.rstrip("/") for name, _, url in (one.partition("=") for one in listed(value))}


def checked(value: str) -> str:
    """The setting, if it is well written. Raises ValueError."""
    named = listed(value)
    for one in named:
        name, _, url = one.partition("=")
        split = urlsplit(url)
        if not _NAME.fullmatch(name) or split.scheme not in ("http", "https") or not split.hostname:
            raise ValueError(f"{one} is not name=url, a name of a-z, 0-9 and - and a url of http or https")
        if split.path.strip("/") or split.query or split.fragment or split.username:
            raise ValueError(f"{url} must be scheme, host and port only")
    if len({one.partition("=")[0] for one in named}) < len(named):
        raise ValueError("a name is there twice")
    return value
