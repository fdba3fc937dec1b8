"""API keys: making a pair, replacing one of it, and seeing when each was used."""

from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from auth.api_keys import LONGEST_DAYS, LONGEST_GRACE_S, USUAL_DAYS, Key, KeyPair, Made, Slot
from auth.key_text import PREFIX
from auth.principal import Permission
from auth.routes.closed import ADMIN, Admin, auth_of, must_hold, router
from auth.routes.pages import LONGEST_PAGE, After, AtMost, page
from auth.routes.patterns import warning_of
from auth.store import narrowing

Days = Annotated[int, Field(ge=1, le=LONGEST_DAYS, description="How long the keys are good.")]


class KeyReply(BaseModel):
    """One key. Its text is there only in the answer to the request that made it."""

    slot: Slot
    begins: str = Field(description="By this it can be recognised; the rest is kept by nobody.")
    key: str | None = Field(None, description="The whole key, once.")
    created_at: float = Field(description="Unix seconds.")
    expires_at: float = Field(description="Unix seconds.")
    used_at: float | None = Field(None, description="Unix seconds, to the minute; absent if never.")
    used_from: str | None = Field(None, description="The network that it was used from last.")


class PairReply(BaseModel):
    """A pair of keys. Either works, so one can be replaced while programs use the other."""

    pair: str
    owner: str
    name: str
    permissions: list[Permission]
    models: list[str]
    created_at: float = Field(description="Unix seconds.")
    created_by: str
    keys: list[KeyReply]
    warning: str | None = Field(None, description="What is odd about it. It was made all the same.")


class NewPair(BaseModel):
    """A pair of keys to make."""

    model_config = ConfigDict(extra="forbid")

    owner: str | None = Field(None, description="The account that it acts for: a service, or yourself if absent.")
    name: str = Field(min_length=1, max_length=64, description="What it is for.")
    permissions: list[Permission] = Field(["list", "score"], min_length=1)
    models: list[str] = Field(["*"], min_length=1, max_length=200, description="Names, or beginnings and `*`.")
    days: Days = USUAL_DAYS


class Regenerated(BaseModel):
    """How a key is to be replaced."""

    model_config = ConfigDict(extra="forbid")

    grace_s: int = Field(0, ge=0, le=LONGEST_GRACE_S, description="Seconds for which the old key stays good.")
    days: Days = USUAL_DAYS


@router.get("/keys", dependencies=ADMIN, responses={409: {}}, response_model_exclude_none=True)
async def list_keys(request: Request, after: After = "", limit: AtMost = LONGEST_PAGE) -> list[PairReply]:
    """The pairs, by owner and name."""
    accounts = auth_of(request).accounts
    return [_shown(pair) for pair in page(await accounts.look(accounts.keys.list), lambda one: one.pair, after, limit)]


@router.post("/keys", status_code=201, responses={404: {}, 409: {}}, response_model_exclude_none=True)
async def add_keys(request: Request, new: NewPair, admin: Admin) -> PairReply:
    """Make a pair for an account. The keys are shown in this answer and never again."""
    auth = auth_of(request)
    allowance = narrowing(new.permissions, new.models)
    must_hold(admin, allowance)
    owner = new.owner or admin.name
    made = await auth.login.writing.run(
        auth.accounts.keys.add, owner, new.name, allowance, new.days, admin.name, auth.clock()
    )
    shown = _made(made)
    shown.warning = warning_of(request, new.models)
    return shown


@router.post("/keys/{pair}/{slot}", responses={404: {}, 409: {}}, response_model_exclude_none=True)
async def regenerate_key(request: Request, pair: str, slot: Slot, how: Regenerated, admin: Admin) -> PairReply:
    """Replace one key of a pair; the other goes on working. The new one is shown in this answer and never again."""
    auth = auth_of(request)
    pairs = await auth.accounts.look(auth.accounts.keys.list)
    had = next((one for one in pairs if one.pair == pair), None)
    if had is not None:
        must_hold(admin, narrowing(had.permissions, had.models))
    made = await auth.login.writing.run(auth.accounts.keys.regenerate, pair, slot, how.grace_s, how.days, auth.clock())
    auth.authenticator.forget_if_changed()
    return _made(made)


@router.delete("/keys/{pair}", dependencies=ADMIN, status_code=204, responses={404: {}, 409: {}})
async def remove_pair(request: Request, pair: str) -> None:
    """Remove a pair; both keys are refused within a second."""
    await _remove(request, pair, None)


@router.delete("/keys/{pair}/{slot}", dependencies=ADMIN, status_code=204, responses={404: {}, 409: {}})
async def remove_key(request: Request, pair: str, slot: Slot) -> None:
    """Remove one key of a pair; it is refused within a second."""
    await _remove(request, pair, slot)


async def _remove(request: Request, pair: str, slot: Slot | None) -> None:
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.keys.remove, pair, slot)
    auth.authenticator.forget_if_changed()


def _made(made: Made) -> PairReply:
    shown = _shown(made.pair)
    for key in shown.keys:
        key.key = made.texts.get(key.begins.removeprefix(PREFIX))
    return shown


def _shown(pair: KeyPair) -> PairReply:
    return PairReply(
        pair=pair.pair,
        owner=pair.owner,
        name=pair.name,
        permissions=list(pair.permissions),
        models=list(pair.models),
        created_at=pair.created_at,
        created_by=pair.created_by,
        keys=[_key(key) for key in pair.keys],
    )


def _key(key: Key) -> KeyReply:
    return KeyReply(
        slot=key.slot,
        begins=PREFIX + key.id,
        created_at=key.created_at,
        expires_at=key.expires_at,
        used_at=key.used_at,
        used_from=key.used_from,
    )
