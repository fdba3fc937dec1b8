"""Settings: `TANDEM_*` environment variables over an optional `tandem.toml`, in one frozen object.

Built by the command line, again by the supervisor when it is told to read them anew, and handed down; nothing else
reads the environment. A bad or unknown value refuses to start: `load` raises ConfigError, which the command line turns
into exit code 3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from server import remote_urls
from server.remote_urls import listed

PREFIX = "TANDEM_"
TOML_FILE = "tandem.toml"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,8}")


class ConfigError(Exception):
    """A setting is unknown or has a value that cannot be used. The text names the setting and what it may be."""


Change = Literal["restart", "web", "workers", "pools", "at_once"]
"""What a changed setting takes when Tandem is told to read its settings anew (SIGHUP).

"restart": it cannot change while Tandem runs. "web": new web processes. "workers": new workers of all pools. "pools":
new workers of those pools whose plan it changes. "at_once": nothing."""


def _setting(change: Change | tuple[Change, ...], default: object, **about: Any) -> Any:
    changes = (change,) if isinstance(change, str) else change
    return Field(default, json_schema_extra={"change": list(changes)}, **about)


class Settings(BaseSettings):
    """All of Tandem's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=TOML_FILE, frozen=True, extra="forbid", nested_model_default_partial_update=False
    )

    host: str = _setting("restart", "127.0.0.1", description="address to listen on")
    port: int = _setting("restart", 8000, ge=0, le=65535, description="port of the API")
    metrics_port: int = _setting("restart", 9464, ge=0, le=65535, description="port of /metrics, on the same address")
    data: Path = _setting("restart", Path(".tandem"), description="folder of the accounts and the signing key")
    accounts: Path | None = _setting(
        "restart", None, description="file of accounts that several servers share, instead of those in the data folder"
    )
    token_key: Path | None = _setting(
        "restart",
        None,
        description="file of the key that signs access tokens, shared by the servers that share accounts",
    )
    endpoints: Path | None = _setting("restart", None, description="folder of YAML that says which endpoints there are")
    root_target: str = _setting("web", "", description="endpoint or model that answers at /score and others, too")
    store: str | None = _setting(
        "restart",
        None,
        description="folder or bucket of what is recorded; the folder `store` in the data folder if unset",
    )
    spool_mb: float = _setting("restart", 1024.0, ge=1, description="MiB of recordings that may wait for the store")
    spool_every_s: float = _setting(
        "restart", 60.0, ge=1, le=86400, description="seconds after which recordings go to the store"
    )
    endpoint_domain: str | None = _setting(
        "web", None, description="domain below which each endpoint has a name: cars.ml.example.com for ml.example.com"
    )
    server: str | None = _setting(
        "at_once", None, description="address of the server that commands ask; that of this machine if nothing is said"
    )
    token: SecretStr | None = _setting(
        "at_once", None, description="API key or access token that commands show, or the path of a file that has it"
    )
    endpoint_key: Path | None = _setting(
        "restart",
        None,
        description="file of the secret that keys of endpoints are derived from, shared by servers that share accounts",
    )
    database: str | None = _setting(
        "restart",
        None,
        description="PostgreSQL that servers share accounts in: its address, or the path of a file that has it",
    )
    identity: Path | None = _setting(
        "restart", None, description="file that describes the identity providers whose people and programs are let in"
    )
    basic: Literal["keys", "passwords", "off"] = _setting(
        "web", "keys", description="what is the password of Basic: API keys, also passwords of accounts, or nothing"
    )
    passwords: Literal["on", "off"] = _setting(
        "web",
        "on",
        description="whether people sign in with passwords kept here; off leaves identity providers and keys",
    )
    remotes: str = _setting(
        "restart", "", description="other Tandem servers whose models are served here too: name=url,name=url"
    )
    trusted_proxies: str = _setting(
        "web", "", description="addresses or networks of proxies whose X-Forwarded-For is believed: 10.0.0.0/8,10.1.2.3"
    )
    r_models: Path = _setting("restart", Path("r_models"), description="folder of the R models")
    python_models: Path = _setting("restart", Path("python_models"), description="folder of the Python models")
    r_workers: int = _setting(
        "pools", 5, ge=1, le=512, description="R processes; never more than the cores that are granted"
    )
    python_workers: int = _setting(
        "pools", 2, ge=1, le=512, description="scikit-learn processes; never more than the cores that are granted"
    )
    torch_threads: int = _setting(
        "pools", 0, ge=0, le=512, description="threads of a PyTorch worker on the CPU; 0 means one per granted core"
    )
    web_workers: int = _setting("web", 1, ge=1, le=64, description="web processes")
    docs: Literal["open", "login", "off"] = _setting(
        "web",
        "open",
        description="who sees /docs and /openapi.json; login where nothing is said and others reach the server",
    )
    timeout_s: float = _setting("web", 30.0, gt=0, le=3600, description="seconds until a request is answered 504")
    load_timeout_s: float = _setting(
        "at_once", 60.0, gt=0, le=3600, description="seconds a model file may take to be read and proven"
    )
    install_timeout_s: float = _setting(
        "at_once", 600.0, gt=0, le=86400, description="seconds that installing a model's requirements may take"
    )
    requirements: Literal["off", "wheels", "any"] = _setting(
        "restart",
        "wheels",
        description="what is installed for a model that has a requirements.txt: nothing, wheels alone, or also "
        "source packages, whose building runs their code",
    )
    queue_max: int = _setting("web", 1024, ge=1, description="requests that may wait for one model in one web process")
    queue_wait_s: float = _setting(
        "web",
        10.0,
        gt=0,
        le=3600,
        description="seconds a request may wait for a worker; a request that would wait longer is refused",
    )
    batch_max_rows: int = _setting(
        ("web", "workers"), 1024, ge=1, description="rows predicted in one call when requests are joined"
    )
    max_body_mb: float = _setting(("web", "workers"), 64.0, gt=0, le=2048, description="largest request body, in MiB")
    max_connections: int = _setting("web", 2048, ge=1, description="connections that one web process holds open")
    header_timeout_s: float = _setting(
        "web", 10.0, gt=0, le=300, description="seconds until the head of a request must be complete"
    )
    keepalive_s: float = _setting(
        "web",
        75.0,
        gt=0,
        le=7200,
        description="seconds an idle connection stays open; more than the proxy in front keeps it",
    )
    drain_s: float = _setting(
        "at_once",
        0.0,
        ge=0,
        le=300,
        description="seconds between readiness saying no and the last connection taken, at the stop",
    )
    worker_memory_mb: float = _setting(
        "pools",
        0.0,
        ge=0,
        description="MiB that a worker may use beyond its models; 0 means an even share of what is granted",
    )
    worker_max_calls: int = _setting(
        "workers",
        100_000,
        ge=0,
        description="calls after which a worker is replaced, a tenth more or less; 0 means never",
    )
    pools: Literal["runtime", "signed", "model"] = _setting(
        "restart",
        "runtime",
        description="which models share processes: those of a runtime, of these the signed ones, or none",
    )
    sandbox: Literal["off", "on", "require"] = _setting(
        "restart", "on", description="lock up what runs models; require: refuse to start where the kernel cannot"
    )
    model_signatures: Literal["off", "warn", "require"] = _setting(
        "restart", "off", description="serve only signed models, or warn of others"
    )
    signature_key: Path | None = _setting(
        "restart",
        None,
        description="file of the public key (PEM), or folder of such files, that model signatures are checked by",
    )
    max_models: int = _setting(
        "restart",
        10_000,
        ge=1,
        description="files and folders in each model folder that are looked at; the rest is not read",
    )
    publish: Literal["on", "off"] = _setting(
        "web", "off", description="whether publishers may send model versions over HTTP; else they come as files alone"
    )
    settle_s: float = _setting(
        "at_once", 0.4, ge=0, le=60, description="seconds a model file must be unchanged before it is read"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting(
        "web", "INFO", description="least severe log line"
    )

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

    _check_remotes = field_validator("remotes")(remote_urls.checked)

    @field_validator("endpoint_domain")
    @classmethod
    def _check_domain(cls, value: str | None) -> str | None:
        if value is not None and not _DOMAIN.fullmatch(value):
            raise ValueError(f"{value} is no domain name, as ml.example.com")
        return value

    @model_validator(mode="after")
    def _close_docs(self) -> Settings:
        """Names, levels and examples of all models are for everybody only where that was decided."""
        if "docs" not in self.model_fields_set and self.host not in LOOPBACK:
            object.__setattr__(self, "docs", "login")
        return self

    @model_validator(mode="after")
    def _check_shared(self) -> Settings:
        if self.accounts and self.database:
            raise ValueError("TANDEM_ACCOUNTS and TANDEM_DATABASE are two places for accounts; set one of them")
        if self.remotes and not ((self.accounts or self.database) and self.token_key):
            raise ValueError("TANDEM_REMOTES needs TANDEM_TOKEN_KEY and TANDEM_ACCOUNTS or TANDEM_DATABASE, shared")
        if self.basic == "passwords" and self.passwords == "off":
            raise ValueError("TANDEM_BASIC=passwords takes what TANDEM_PASSWORDS=off refuses; set keys or off")
        return self

    @model_validator(mode="after")
    def _check_requirements(self) -> Settings:
        if self.requirements == "any" and self.sandbox == "require":
            raise ValueError(
                "TANDEM_REQUIREMENTS=any builds packages by their own code, which can reach the network as no model "
                "can; where TANDEM_SANDBOX=require, set wheels or off"
            )
        return self

    @model_validator(mode="after")
    def _check_pools(self) -> Settings:
        if self.pools == "signed" and self.model_signatures == "off":
            raise ValueError(
                "TANDEM_POOLS=signed needs TANDEM_MODEL_SIGNATURES, without which no signature is looked at"
            )
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        for network in listed(value):
            ip_network(network)
        return value

    @property
    def remote_urls(self) -> dict[str, str]:
        """The addresses of other Tandem servers, by the names given to them."""
        return remote_urls.by_name(self.remotes)

    @property
    def trusted_networks(self) -> list[str]:
        """Whose X-Forwarded-For is believed."""
        return listed(self.trusted_proxies)

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * 2**20)

    @property
    def max_payload_bytes(self) -> int:
        """Cap of one frame: a batch of the largest body, or a reply that is wordier than its request."""
        return 4 * self.max_body_bytes + (64 << 20)


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
        raise ConfigError("; ".join(_message(error) for error in e.errors())) from e
    except ValueError as e:  # tandem.toml is not TOML
        raise ConfigError(f"{TOML_FILE} cannot be read: {e}") from e


def _names() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _message(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"])
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name)
    about = f" ({field.description})" if field is not None else ""
    return f"{PREFIX}{name.upper()}{about}: {error['msg']}"


def changing(change: Change) -> frozenset[str]:
    """The settings whose change takes this."""
    return frozenset(name for name in Settings.model_fields if change in changes_of(name))


def changes_of(name: str) -> list[str]:
    """What a change of the setting takes, as `Change` lists it."""
    about = Settings.model_fields[name].json_schema_extra
    assert isinstance(about, dict)
    return cast(list[str], about["change"])
