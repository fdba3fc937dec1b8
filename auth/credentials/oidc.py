"""Access tokens that an identity provider has signed (OpenID Connect, OAuth 2).

Owns what such a token must say, and which roles that makes. Must not know the network: `key_sets.py` has the keys, and
none of ours is among them. The shapes of Microsoft Entra ID, Keycloak and RFC 9068 pass; an ID token does not, though
the same provider signed it: it is for whoever signs people in, and says nothing of what its bearer may do here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from auth import jws
from auth.credentials.identity import Provider
from auth.credentials.key_sets import Key
from auth.errors import GroupsOverage, NoRole
from auth.jws import Unverified, require, text_in, time_in
from auth.principal import Permission, Role

LONGEST_TOKEN: Final = 16 * 1024
LEEWAY_S: Final = 60.0
LONGEST_LIFE_S: Final = 28 * 3600.0  # Entra ID's longest

_HEADER_FIELDS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")
_CLIENTS: Final = ("azp", "appid", "client_id", "cid")
_SCOPES: Final = ("scp", "scope")
_OF_ID_TOKENS: Final = ("at_hash", "c_hash")
_LONGEST_SUBJECT: Final = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller that a provider's token names.

    `narrowed` is what the client may do for them; None means all they may.
    """

    name: str
    kind: Literal["person", "application"]
    client: str
    roles: tuple[Role, ...]
    groups: tuple[str, ...]
    narrowed: frozenset[Permission] | None
    expires_at: float
    signed_in_at: float | None = None
    """When the person proved to the provider who they are, where the token says so."""


def key_id(token: Unverified, provider: Provider) -> str:
    """Which of the provider's keys a token says it was signed with; raise `Unauthenticated` for any other header."""
    header = token.header
    # By name, so that `crit`, `jwk`, `jku`, `x5c`, `zip` and what comes after them are all refused.
    strange = header.keys() - _HEADER_FIELDS
    require(not strange, "bad_header", "its header has more than alg, kid, typ, x5t and x5t#S256")
    require(header.get("alg") == provider.algorithm, "bad_header", f"its alg is not {provider.algorithm}")
    kind = header.get("typ", "JWT")
    require(isinstance(kind, str) and kind.lower() in _TYPES, "bad_header", "its typ is not that of an access token")
    kid = header.get("kid")
    require(isinstance(kid, str), "bad_header", "its header has no kid")
    return str(kid)


def identity(token: Unverified, provider: Provider, key: Key, now: float) -> Identity:
    """The caller that a token names, which `key` has signed; raise `Unauthenticated`, `NoRole` or `GroupsOverage`."""
    claims = jws.verified(token, key.public)
    expires_at = _check_issuer_and_times(claims, provider, key, now, provider.audiences)
    client = _client(claims, provider)
    _refuse_id_token(claims)
    name = f"{provider.name}:{_subject(claims, provider)}"
    scopes = _scopes(claims)
    application = scopes is None or claims.get("idtyp") == "app" or claims.get("sub") == client
    return Identity(
        name=name,
        kind="application" if application else "person",
        client=client,
        roles=_roles(claims, provider),
        groups=_groups(claims, provider),
        narrowed=_narrowed(scopes, provider),
        expires_at=expires_at + LEEWAY_S,
    )


def signed_in(token: Unverified, provider: Provider, key: Key, nonce: str, now: float) -> Identity:
    """The person that an ID token names, in answer to the request that had this `nonce`."""
    claims = jws.verified(token, key.public)
    expires_at = _check_issuer_and_times(claims, provider, key, now, frozenset({provider.client_id or ""}))
    require(claims.get("nonce") == nonce, "bad_claims", "its nonce is not the one that was sent")
    client = claims.get("azp", provider.client_id)
    require(client == provider.client_id, "bad_claims", "it is for another client")
    return Identity(
        name=f"{provider.name}:{_subject(claims, provider)}",
        kind="person",
        client=text_in({"azp": client}, "azp"),
        roles=_roles(claims, provider),
        groups=_groups(claims, provider),
        narrowed=None,
        expires_at=expires_at,
        signed_in_at=time_in(claims, "auth_time") if "auth_time" in claims else None,
    )


def _check_issuer_and_times(
    claims: Mapping[str, Any], provider: Provider, key: Key, now: float, ours: frozenset[str]
) -> float:
    require(claims.get("iss") == provider.issuer, "bad_claims", "its iss is not the provider's issuer")
    require(_may_use(key, claims, provider), "bad_claims", "its key is another issuer's")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    meant = any(isinstance(one, str) and one in ours for one in audiences)
    require(meant, "bad_claims", "its aud is none of the audiences")
    issued_at, expires_at = time_in(claims, "iat"), time_in(claims, "exp")
    not_before = time_in(claims, "nbf") if "nbf" in claims else issued_at
    require(max(issued_at, not_before) <= now + LEEWAY_S, "bad_claims", "its iat or nbf is in the future")
    require(expires_at - issued_at <= LONGEST_LIFE_S, "bad_claims", "it lives for more than 28 hours")
    require(now < expires_at + LEEWAY_S, "expired", "its exp is over")
    return expires_at


def _may_use(key: Key, claims: Mapping[str, Any], provider: Provider) -> bool:
    """Whether the key may sign for this issuer. Entra ID writes the tenant's place in it as {tenantid}."""
    return key.issuer is None or key.issuer.replace("{tenantid}", str(claims.get("tid"))) == provider.issuer


def _client(claims: Mapping[str, Any], provider: Provider) -> str:
    named = {text_in(claims, claim) for claim in _CLIENTS if claim in claims}
    require(len(named) == 1, "bad_claims", f"it names no client, or two ({', '.join(_CLIENTS)})")
    client = named.pop()
    allowed = not provider.clients or client in provider.clients
    require(allowed, "bad_claims", "its client is none of the clients")
    return client


def _refuse_id_token(claims: Mapping[str, Any]) -> None:
    """Refuse an ID token.

    Where one client is for the API and for signing in, the audience does not tell the two apart.
    """
    kind = claims.get("typ")
    require(not any(claim in claims for claim in _OF_ID_TOKENS) and kind != "ID", "bad_claims", "it is an ID token")
    require("nonce" not in claims or kind == "Bearer", "bad_claims", "it has a nonce, as ID tokens do")
    says = any(claim in claims for claim in (*_SCOPES, "roles"))
    require(says, "bad_claims", "it has neither scp nor scope nor roles, as ID tokens do")


def _subject(claims: Mapping[str, Any], provider: Provider) -> str:
    parts = [text_in(claims, claim) for claim in provider.subject]
    for claim, part in zip(provider.subject, parts, strict=True):
        fits = len(part) <= _LONGEST_SUBJECT and part.isprintable() and (len(parts) == 1 or ":" not in part)
        require(fits, "bad_claims", f"its {claim} is no name of somebody")
        # A tenant's issuer has the tenant's id in its path. So a token of another tenant cannot name one of this.
        tenant = claim != "tid" or part in urlsplit(provider.issuer).path.split("/")
        require(tenant, "bad_claims", "its tid is not the issuer's")
    return ":".join(parts)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    found = [claims[claim] for claim in _SCOPES if claim in claims]
    if not found:
        return None
    texts = [one for value in found for one in (value if isinstance(value, list) else [value])]
    require(all(isinstance(one, str) for one in texts), "bad_claims", "its scopes are no text")
    return frozenset(name for text in texts for name in text.split())


def _narrowed(scopes: frozenset[str] | None, provider: Provider) -> frozenset[Permission] | None:
    if scopes is None or provider.scopes is None:
        return None
    return frozenset(permission for name in scopes for permission in provider.scopes.get(name, ()))


def _roles(claims: Mapping[str, Any], provider: Provider) -> tuple[Role, ...]:
    values = {value for path in provider.roles for value in _values(claims, path)}
    roles = {provider.map[value] for value in values if value in provider.map}
    if roles:
        return tuple(sorted(roles))
    if _left_out(claims) and ("groups",) in provider.roles:
        raise GroupsOverage
    raise NoRole(tuple(sorted(claims)), tuple(".".join(path) for path in provider.roles))


def _groups(claims: Mapping[str, Any], provider: Provider) -> tuple[str, ...]:
    return tuple(f"{provider.name}:{value}" for value in _values(claims, ("groups",)))


def _left_out(claims: Mapping[str, Any]) -> bool:
    elsewhere = claims.get("_claim_names")
    return (isinstance(elsewhere, dict) and "groups" in elsewhere) or bool(claims.get("hasgroups"))


def _values(claims: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    found: Any = claims
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return
        found = found[name]
    values = found if isinstance(found, list) else [found]
    require(all(isinstance(value, str) for value in values), "bad_claims", f"its {'.'.join(path)} is no list of texts")
    yield from values
