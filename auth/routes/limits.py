"""Limits on how much principals may ask for."""

from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from auth.limits.limit import MOST, Limit, Per, Unit
from auth.routes.closed import ADMIN, Admin, auth_of, router
from auth.routes.pages import LONGEST_PAGE, After, AtMost, page
from auth.routes.patterns import warning_of
from auth.setup import Auth

Amount = Annotated[int, Field(strict=True, ge=1, le=MOST)]


class NewLimit(BaseModel):
    """A limit to set. It is of requests or of rows."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(
        description="The name of an account, `provider:subject`, `role:` and a role, `group:` and a group of a"
        " provider, or `*`. Each principal that this stands for is counted by itself."
    )
    model: str = Field("*", description="A name, or a beginning and `*`. All models that fit count together.")
    requests: Amount | None = None
    rows: Amount | None = None
    per: Per = Field(description="A rate is of a second or a minute, a quota of a day or a month of UTC.")
    burst: Amount | None = Field(None, description="Of a rate: how many may come at once. If absent, as many as `per`.")

    @model_validator(mode="after")
    def _check(self) -> "NewLimit":
        if (self.requests is None) == (self.rows is None):
            raise ValueError("a limit is of requests or of rows: give one of the two")
        return self


class LimitReply(BaseModel):
    """A limit."""

    id: str
    who: str
    model: str
    requests: int | None = None
    rows: int | None = None
    per: Per
    burst: int | None = None
    created_at: float = Field(description="Unix seconds.")
    created_by: str
    warning: str | None = Field(None, description="What is odd about it. It was taken all the same.")


@router.get("/limits", dependencies=ADMIN, responses={409: {}}, response_model_exclude_none=True)
async def list_limits(request: Request, after: After = "", limit: AtMost = LONGEST_PAGE) -> list[LimitReply]:
    """The limits, by name."""
    accounts = auth_of(request).accounts
    return [_shown(one) for one in page(await accounts.look(accounts.limits.list), lambda one: one.id, after, limit)]


@router.put("/limits/{limit}", responses={409: {}}, response_model_exclude_none=True)
async def put_limit(request: Request, limit: str, new: NewLimit, admin: Admin) -> LimitReply:
    """Set a limit, or make it another. It holds within a second, in every process and server of one database."""
    auth = auth_of(request)
    unit: Unit = "requests" if new.requests is not None else "rows"
    amount = new.requests if new.requests is not None else new.rows or 0
    wanted = Limit(limit, new.who, new.model, unit, amount, new.per, new.burst, auth.clock(), admin.name)
    made = await auth.login.writing.run(auth.accounts.limits.put, wanted)
    await _hold(auth)
    shown = _shown(made)
    shown.warning = warning_of(request, [made.model])
    return shown


@router.delete("/limits/{limit}", dependencies=ADMIN, status_code=204, responses={404: {}, 409: {}})
async def remove_limit(request: Request, limit: str) -> None:
    """Remove a limit. It ends within a second."""
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.limits.remove, limit)
    await _hold(auth)


async def _hold(auth: Auth) -> None:
    """Have what was changed hold here at once; the other processes look by themselves."""
    auth.limiter.replace(await auth.accounts.look(auth.accounts.limits.in_force))


def _shown(limit: Limit) -> LimitReply:
    return LimitReply(
        id=limit.id,
        who=limit.who,
        model=limit.model,
        requests=limit.amount if limit.unit == "requests" else None,
        rows=limit.amount if limit.unit == "rows" else None,
        per=limit.per,
        burst=limit.burst,
        created_at=limit.created_at,
        created_by=limit.created_by,
    )
