"""Which settings can change while Tandem runs, when it is told to read them anew (SIGHUP)."""

from __future__ import annotations

from server.config import Settings

FIXED = frozenset(
    {
        *("host", "port", "metrics_port", "data", "r_models", "python_models"),
        *("accounts", "token_key", "remotes", "sandbox", "pools", "requirements", "model_signatures"),
        "signature_key",
        "max_models",
    }
)
"""Everything else hangs on these: they need a restart."""
OF_WEB = frozenset(
    {
        *("web_workers", "docs", "timeout_s", "queue_max", "queue_wait_s", "batch_max_rows", "max_body_mb"),
        *("max_connections", "header_timeout_s", "keepalive_s", "trusted_proxies", "log_level"),
    }
)
"""What web processes know: a change replaces them."""


def merged(now: Settings, read: Settings) -> tuple[Settings, frozenset[str], frozenset[str]]:
    """The settings to have from now on; the names of those that change; of those that would need a restart."""
    differ = frozenset(name for name in Settings.model_fields if getattr(now, name) != getattr(read, name))
    kept = {name: getattr(now, name) for name in FIXED}
    return read.model_copy(update=kept), differ - FIXED, differ & FIXED
