"""Managing accounts: of people, who sign in, and of services, which have keys."""

from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from auth.errors import AccountError
from auth.principal import Kind, Principal
from auth.routes.closed import ADMIN, Admin, auth_of, must_hold, router
from auth.routes.pages import LONGEST_PAGE, After, AtMost, page
from auth.setup import Auth
from auth.store import Account, AccountChange, NewAccountKind

_ABOUT = Field(max_length=500, description="Whose it is, or what it is for.")


class AccountReply(BaseModel):
    """An account."""

    name: str
    kind: Kind
    role: str
    disabled: bool
    about: str
    groups: list[str] = Field(description="Groups of your own that it is in.")
    created_at: float | None = Field(None, description="Unix seconds. Absent where the accounts are kept in a file.")


class NewPassword(BaseModel):
    """A password to set."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr = Field(description="8 to 1024 characters.")


class NewAccount(BaseModel):
    """An account to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="1 to 64 of A-Z a-z 0-9 . _ @ - beginning with a letter or a digit.")
    kind: NewAccountKind = Field("person", description="A person signs in; a service has keys and no password.")
    role: str = Field(description="A built-in role, or one of your own.")
    password: SecretStr | None = Field(None, description="8 to 1024 characters. A service has none.")
    about: Annotated[str, _ABOUT] = ""


class ChangedAccount(BaseModel):
    """What is to be changed of an account. What is absent stays."""

    model_config = ConfigDict(extra="forbid")

    role: str | None = None
    disabled: bool | None = Field(None, description="Who is disabled is refused, and keeps everything.")
    about: Annotated[str | None, _ABOUT] = None
    groups: list[str] | None = Field(None, max_length=200, description="All the groups that it is to be in.")


@router.get("/accounts", dependencies=ADMIN, response_model_exclude_none=True)
async def list_accounts(request: Request, after: After = "", limit: AtMost = LONGEST_PAGE) -> list[AccountReply]:
    """The accounts, by name."""
    accounts = auth_of(request).accounts
    found = page(await accounts.look(accounts.list), lambda account: account.name, after, limit)
    return [_shown(account) for account in found]


@router.get("/accounts/{name}", dependencies=ADMIN, response_model_exclude_none=True, responses={404: {}})
async def show_account(request: Request, name: str) -> AccountReply:
    """One account."""
    accounts = auth_of(request).accounts
    found = await accounts.look(accounts.find, name)
    if found is None:
        raise AccountError("unknown")
    return _shown(found)


@router.post("/accounts", status_code=201, responses={409: {}})
async def add_account(request: Request, new: NewAccount, admin: Admin) -> AccountReply:
    """Create an account."""
    auth = auth_of(request)
    await _check_role(admin, auth, new.name, new.role)
    if new.kind == "service":
        if new.password is not None:
            raise AccountError("no_password")
        made = await auth.login.writing.run(auth.accounts.add_service, new.name, new.role, auth.clock())
    else:
        password = new.password.get_secret_value() if new.password is not None else ""
        made = await auth.login.hashing.run(auth.accounts.add, new.name, new.role, password, auth.clock())
    if new.about:
        made = await auth.login.writing.run(auth.accounts.change, new.name, AccountChange(about=new.about))
    return _shown(made)


@router.patch("/accounts/{name}", responses={404: {}, 409: {}})
async def change_account(request: Request, name: str, change: ChangedAccount, admin: Admin) -> AccountReply:
    """Give an account another role, disable it, or put it into groups. It holds within a second."""
    auth = auth_of(request)
    await _check_account(admin, auth, name)
    if change.role is not None:
        await _check_role(admin, auth, name, change.role)
    groups = None if change.groups is None else tuple(change.groups)
    if groups:  # whoever puts somebody into a group gives them what it was granted
        must_hold(admin, *await auth.accounts.look(auth.accounts.policy.allowances, "", "none", groups))
    wanted = AccountChange(change.role, change.disabled, change.about, groups)
    changed = await auth.login.writing.run(auth.accounts.change, name, wanted)
    auth.authenticator.forget_if_changed()
    return _shown(changed)


@router.delete("/accounts/{name}", status_code=204, responses={404: {}, 409: {}})
async def remove_account(request: Request, name: str, admin: Admin) -> None:
    """Remove an account, and end its sessions and keys."""
    auth = auth_of(request)
    await _check_account(admin, auth, name)
    await auth.login.writing.run(auth.accounts.remove, name)
    auth.authenticator.forget_if_changed()


@router.put("/accounts/{name}/password", status_code=204, responses={404: {}, 409: {}})
async def set_password(request: Request, name: str, new: NewPassword, admin: Admin) -> None:
    """Set a password and end the account's sessions."""
    auth = auth_of(request)
    await _check_account(admin, auth, name)
    await auth.login.hashing.run(auth.accounts.set_password, name, new.password.get_secret_value())
    auth.authenticator.forget_if_changed()


@router.delete("/accounts/{name}/sessions", status_code=204, responses={404: {}, 409: {}})
async def end_sessions(request: Request, name: str, admin: Admin) -> None:
    """Sign an account out everywhere. Its access tokens end within a second; its API keys stay."""
    auth = auth_of(request)
    await _check_account(admin, auth, name)
    await auth.login.writing.run(auth.accounts.end_sessions, name)
    auth.authenticator.forget_if_changed()


async def _check_role(admin: Principal, auth: Auth, name: str, role: str) -> None:
    """Refuse an unknown role, and a role that allows more than the giver may do."""
    await auth.accounts.look(auth.accounts.policy.permissions, role)
    must_hold(admin, *await auth.accounts.look(auth.accounts.allowances, name, role))


async def _check_account(admin: Principal, auth: Auth, name: str) -> None:
    """Refuse to change an account that may do more than the caller: with its password the caller would be its owner."""
    account = await auth.accounts.look(auth.accounts.find, name)
    if account is not None:
        must_hold(admin, *await auth.accounts.look(auth.accounts.allowances, name, account.role))


def _shown(account: Account) -> AccountReply:
    return AccountReply(
        name=account.name,
        kind=account.kind,
        role=account.role,
        disabled=account.disabled,
        about=account.about,
        groups=list(account.groups),
        created_at=account.created_at,
    )
