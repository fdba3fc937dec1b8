"""Settings: `TANDEM_*` environment variables over an optional `tandem.toml`, in one frozen object.

Built once, by the command line, and handed down; nothing else reads the environment. A bad or unknown value refuses to
start: `load` raises ConfigError, which the command line turns into exit code 3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PREFIX = "TANDEM_"
TOML_FILE = "tandem.toml"
RUN_DIR = "TANDEM_RUN_DIR"
"""Not a setting: where the supervisor tells its web processes that its sockets are."""


class ConfigError(Exception):
    """A setting is unknown or has a value that cannot be used. The text names the setting and what it may be."""


class Settings(BaseSettings):
    """All of Tandem's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=TOML_FILE, frozen=True, extra="forbid", nested_model_default_partial_update=False
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port of the API")
    metrics_port: int = Field(9464, ge=0, le=65535, description="port of /metrics, on the same address")
    data: Path = Field(Path(".tandem"), description="folder of the accounts and the signing key")
    r_models: Path = Field(Path("r_models"), description="folder of the R models")
    python_models: Path = Field(Path("python_models"), description="folder of the Python models")
    r_workers: int = Field(5, ge=1, le=512, description="R processes; never more than the cores that are granted")
    python_workers: int = Field(
        2, ge=1, le=512, description="scikit-learn processes; never more than the cores that are granted"
    )
    torch_threads: int = Field(
        0, ge=0, le=512, description="threads of a PyTorch worker on the CPU; 0 means one per granted core"
    )
    web_workers: int = Field(1, ge=1, le=64, description="web processes")
    docs: Literal["open", "login", "off"] = Field("open", description="who sees /docs and /openapi.json")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="seconds until a request is answered 504")
    load_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="seconds a model file may take to be read and proven"
    )
    install_timeout_s: float = Field(
        600.0, gt=0, le=86400, description="seconds that installing a script's requirements may take"
    )
    queue_max: int = Field(1024, ge=1, description="requests that may wait for one pool in one web process")
    batch_max_rows: int = Field(1024, ge=1, description="rows predicted in one call when requests are joined")
    max_body_mb: float = Field(64.0, gt=0, le=2048, description="largest request body, in MiB")
    settle_s: float = Field(0.4, ge=0, le=60, description="seconds a model file must be unchanged before it is read")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe log line")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * 2**20)

    @property
    def max_payload_bytes(self) -> int:
        """Cap of one frame: a batch of the largest body, or a reply that is wordier than its request."""
        return 4 * self.max_body_bytes + (64 << 20)

    def to_environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process."""
        return {PREFIX + name.upper(): str(value) for name, value in self.model_dump().items()}


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises ConfigError."""
    unknown = [
        name
        for name in environment
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    ]
    if unknown:
        raise ConfigError(f"unknown setting {unknown[0]}; known are {', '.join(_names())}")
    try:
        return Settings()
    except ValidationError as e:
        raise ConfigError("; ".join(_told(error) for error in e.errors())) from e
    except ValueError as e:  # tandem.toml is not TOML
        raise ConfigError(f"{TOML_FILE} cannot be read: {e}") from e


def _names() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _told(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else TOML_FILE
    field = Settings.model_fields.get(name)
    about = f" ({field.description})" if field is not None else ""
    return f"{PREFIX}{name.upper()}{about}: {error['msg']}"


def granted_cores() -> int:
    """Cores this process may use: its CPU affinity, and the cgroup's quota where there is one (v2 or v1)."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota_v2() or _quota_v1()
    return max(1, min(cores, int(quota))) if quota else cores


def _quota_v2() -> float | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1() -> float | None:
    folder = Path("/sys/fs/cgroup/cpu")
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None
