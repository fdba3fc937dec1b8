"""Roles of one's own, and grants of a role on some models."""

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from auth.policy import Grant, RoleOfOwn
from auth.principal import ROLES, Allowance, Permission
from auth.routes.closed import ADMIN, Admin, auth_of, must_hold, router
from auth.routes.pages import LONGEST_PAGE, After, AtMost, page
from auth.routes.patterns import warning_of_grant
from auth.store import narrowing


class RoleReply(BaseModel):
    """A role."""

    name: str
    permissions: list[Permission]
    built_in: bool = Field(description="Whether it is always there, and always the same.")


class Permissions(BaseModel):
    """What a role is to consist of."""

    model_config = ConfigDict(extra="forbid")

    permissions: list[Permission]


class GrantReply(BaseModel):
    """A grant: a role on some models, for a principal or a group."""

    id: str
    to: str
    role: str
    models: list[str]
    created_at: float = Field(description="Unix seconds.")
    created_by: str
    warning: str | None = Field(None, description="What is odd about it. It was taken all the same.")


class NewGrant(BaseModel):
    """A grant to make."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(description="The name of an account, `provider:subject`, or `group:` and a group of a provider.")
    role: str
    models: list[str] = Field(min_length=1, max_length=200, description="Names, or beginnings and `*`.")


@router.get("/roles", dependencies=ADMIN)
async def list_roles(request: Request, after: After = "", limit: AtMost = LONGEST_PAGE) -> list[RoleReply]:
    """The roles, the built-in ones first."""
    accounts = auth_of(request).accounts
    return [_role(one) for one in page(await accounts.look(accounts.policy.roles), lambda one: one.name, after, limit)]


@router.put("/roles/{role}", responses={409: {}})
async def put_role(request: Request, role: str, of: Permissions, admin: Admin) -> RoleReply:
    """Make a role, or make it consist of something else. Who has it may do so within a second."""
    auth = auth_of(request)
    must_hold(admin, Allowance(frozenset(of.permissions)))
    made = await auth.login.writing.run(auth.accounts.policy.put_role, role, of.permissions)
    auth.authenticator.forget_if_changed()
    return _role(made)


@router.delete("/roles/{role}", dependencies=ADMIN, status_code=204, responses={404: {}, 409: {}})
async def remove_role(request: Request, role: str) -> None:
    """Remove a role that no account and no grant has."""
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.policy.remove_role, role)
    auth.authenticator.forget_if_changed()


@router.get("/grants", dependencies=ADMIN, responses={409: {}}, response_model_exclude_none=True)
async def list_grants(request: Request, after: After = "", limit: AtMost = LONGEST_PAGE) -> list[GrantReply]:
    """The grants, by whom they are for."""
    accounts = auth_of(request).accounts
    return [_grant(one) for one in page(await accounts.look(accounts.policy.grants), lambda one: one.id, after, limit)]


@router.post("/grants", status_code=201, responses={409: {}}, response_model_exclude_none=True)
async def add_grant(request: Request, new: NewGrant, admin: Admin) -> GrantReply:
    """Give somebody, or a group, a role on some models. It holds within a second."""
    auth = auth_of(request)
    policy = auth.accounts.policy
    allowance = narrowing(sorted(await auth.accounts.look(policy.permissions, new.role)), new.models)
    must_hold(admin, allowance)
    made = await auth.login.writing.run(policy.add_grant, new.to, allowance, new.role, admin.name, auth.clock())
    auth.authenticator.forget_if_changed()
    shown = _grant(made)
    shown.warning = warning_of_grant(request, made.models)
    return shown


@router.delete("/grants/{grant}", dependencies=ADMIN, status_code=204, responses={404: {}, 409: {}})
async def remove_grant(request: Request, grant: str) -> None:
    """Take a grant back. It ends within a second."""
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.policy.remove_grant, grant)
    auth.authenticator.forget_if_changed()


def _role(role: RoleOfOwn) -> RoleReply:
    return RoleReply(name=role.name, permissions=list(role.permissions), built_in=role.name in ROLES)


def _grant(grant: Grant) -> GrantReply:
    return GrantReply(
        id=grant.id,
        to=grant.to,
        role=grant.role,
        models=list(grant.models),
        created_at=grant.created_at,
        created_by=grant.created_by,
    )
