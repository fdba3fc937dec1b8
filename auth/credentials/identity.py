"""The file of identity providers (`TANDEM_IDENTITY`): whose tokens are taken, and what they may say.

Owns its format, a table of TOML for each provider. Must not know tokens, keys or the network. A fault is told with the
provider's and the field's name, and never with a value.
"""

import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from auth.jws import PublicAlgorithm
from auth.principal import Permission, Role

CALLBACK: Final = "/auth/oidc/{name}/callback"
"""Path of ours to which a provider sends the browser back."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MOST_PROVIDERS: Final = 16
_MOST_FAULTS: Final = 10


def is_safe_url(url: str) -> bool:
    """Whether keys and codes may travel to an address: https, or http on this machine itself."""
    try:
        split = urlsplit(url)
        port_is_good = split.port is None or split.port > 0
    except ValueError:
        return False
    plain = bool(split.hostname) and port_is_good and not (split.username or split.password or split.fragment)
    return plain and (split.scheme == "https" or (split.scheme == "http" and _is_loopback(split.hostname or "")))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _safe(url: str) -> str:
    if not is_safe_url(url):
        raise ValueError("it is not an https address (http is for 127.0.0.1 alone)")
    return url


Url = Annotated[str, AfterValidator(_safe)]
Text = Annotated[str, Field(min_length=1, max_length=512)]
Claim = Annotated[tuple[Text, ...], Field(min_length=1, max_length=4)]
"""The way to a claim: its name, or the names that lead to one inside of another."""


class Provider(BaseModel):
    """One OpenID Connect issuer, as the administrator describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: Text = "your organisation"
    issuer: Url
    discovery: Url | None = None
    audiences: Annotated[frozenset[Text], Field(min_length=1, max_length=32)]
    algorithm: PublicAlgorithm = "RS256"
    subject: Annotated[tuple[Text, ...], Field(min_length=1, max_length=4)] = ("sub",)
    roles: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=8)] = (("roles",), ("groups",))
    map: Annotated[dict[Text, Role], Field(min_length=1, max_length=1000)]
    scopes: dict[Text, frozenset[Permission]] | None = None
    clients: frozenset[Text] = frozenset()
    client_id: Text | None = None
    client_secret_file: Path | None = None
    redirects: Annotated[tuple[Url, ...], Field(max_length=16)] = ()

    @property
    def discovery_url(self) -> str:
        """The address at which the provider describes itself."""
        return self.discovery or self.issuer.rstrip("/") + "/.well-known/openid-configuration"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a provider's name is 1 to 32 of a-z 0-9 - and begins with a letter")
        return name

    @model_validator(mode="after")
    def _check_signing_in(self) -> "Provider":
        if bool(self.client_id) != bool(self.redirects):
            raise ValueError("client_id and redirects are for signing in: give both or none")
        if self.client_secret_file is not None and not self.client_id:
            raise ValueError("client_secret_file is for signing in: it needs client_id")
        callback = CALLBACK.format(name=self.name)
        for redirect in self.redirects:
            split = urlsplit(redirect)
            if split.path != callback or split.query:
                raise ValueError(f"each of redirects is an address of this server that ends with {callback}")
        return self


def parse(raw: bytes) -> dict[str, Provider]:
    """The providers by their issuer; raise ValueError that names each fault and its place."""
    try:
        tables = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ValueError("it is not TOML") from problem
    if not 1 <= len(tables) <= _MOST_PROVIDERS or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"it is 1 to {_MOST_PROVIDERS} tables, such as [entra], and each is a provider")
    providers = [_provider(name, table) for name, table in tables.items()]
    by_issuer = {provider.issuer: provider for provider in providers}
    if len(by_issuer) != len(providers):
        raise ValueError("two providers have the same issuer")
    return by_issuer


def _provider(name: str, table: dict[str, Any]) -> Provider:
    if "name" in table:
        raise ValueError(f"{name}.name: the table's own name is the provider's")
    try:
        return Provider(**(table | {"name": name}))
    except ValidationError as problem:
        faults = [_fault(name, error) for error in problem.errors(include_url=False, include_input=False)]
        raise ValueError("; ".join(faults[:_MOST_FAULTS])) from None


def _fault(provider: str, error: Any) -> str:
    where = ".".join([provider, *(str(part) for part in error["loc"])])
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
