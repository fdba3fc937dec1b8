"""What auth refuses, and why.

Owns the error tree and the words a client may read (`text`). Must not know HTTP: the web layer maps each class to a
status. The precise reason is for the log and the metric; telling it to a client would tell an attacker as well.
"""

from typing import ClassVar, Final, Literal, get_args

from auth.principal import Permission

Reason = Literal[
    "missing",
    "malformed",
    "too_large",
    "bad_header",
    "bad_signature",
    "bad_claims",
    "expired",
    "revoked",
    "bad_password",
    "bad_refresh_token",
    "bad_key",
    "password_not_taken",
    "reused_refresh_token",
    "key_in_url",
    "throttled",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

AccountProblem = Literal[
    "bad_name",
    "bad_password",
    "common_password",
    "no_password",
    "unknown_role",
    "bad_days",
    "bad_key_name",
    "bad_pattern",
    "exists",
    "unknown",
    "unknown_key",
    "bad_role_name",
    "built_in",
    "role_in_use",
    "no_such_role",
    "bad_grantee",
    "bad_group",
    "unknown_grant",
    "last_admin",
    "bad_limit_name",
    "bad_limited",
    "bad_amount",
    "burst_of_quota",
    "too_many_limits",
    "unknown_limit",
    "in_file",
    "lacking",
    "elsewhere",
    "unknown_page",
    "bad_text",
]


AccountCode = Literal["invalid_input", "conflict", "not_found", "forbidden"]


class AuthError(Exception):
    """A refusal. `text` is for the client; the exception's own words are for the log."""

    text: ClassVar[str]
    retryable: ClassVar[bool] = False


class Unauthenticated(AuthError):
    """It is not known who is asking. The caller is at fault; signing in again may cure it."""

    text = "The credentials are missing, not valid, or no longer valid."

    def __init__(self, reason: Reason, rule: str = "") -> None:
        """Say why. `rule` is what did not hold, in words for an administrator who looks into it."""
        super().__init__(f"{reason}: {rule}" if rule else reason)
        self.reason: Final = reason
        self.rule: Final = rule


class TwoCredentials(AuthError):
    """A request has two credentials that differ.

    The caller is at fault: a proxy and we could believe different ones.
    """

    text = "The request has two credentials that differ. Send one."


class KeyInUrl(AuthError):
    """An API key stands in the address of a request. The caller is at fault, and the key lies in some log now."""

    text = "There is an API key in the address, so it is in somebody's log now: replace it. Send keys in a header."


class Forbidden(AuthError):
    """The caller is known, and their role does not allow what they ask for. Trying again does not help."""

    text = "Your role does not allow this."

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission)
        self.permission: Final = permission


class ProviderRefusal(AuthError):
    """An identity provider vouches for the caller, and still the request is refused. `code` says in which way."""

    code: ClassVar[Literal["forbidden", "groups_overage", "provider_unavailable"]]

    @property
    def explanation(self) -> str:
        """What is wrong, in words that the caller may read."""
        return self.text


class NoRole(ProviderRefusal):
    """A provider vouches for the caller, and names nothing that is a role here. Trying again does not help."""

    code = "forbidden"
    text = "Your identity provider gives you no role here."

    def __init__(self, claims: tuple[str, ...], asked: tuple[str, ...]) -> None:
        """Say which claims came (`claims`), and from which ones roles are read (`asked`), each by name."""
        super().__init__(", ".join(claims))
        self._claims = claims
        self._asked = asked

    @property
    def explanation(self) -> str:
        """Which claims came and from which ones roles are read, in words for the caller."""
        return f"{self.text} Roles are read from {', '.join(self._asked)}; it sent {', '.join(self._claims)}."


class GroupsOverage(ProviderRefusal):
    """A token has a pointer in place of its groups, because they are too many. An administrator can cure it."""

    code = "groups_overage"
    text = (
        "Your identity provider left your groups out of the token, as they are too many. Ask for an app role to be"
        " assigned to you, or for the token to have only groups that are assigned to the application."
    )


class ProviderUnavailable(ProviderRefusal):
    """The keys of an identity provider cannot be fetched, so its tokens cannot be checked. Trying again may help."""

    code = "provider_unavailable"
    text = "The identity provider cannot be reached, so its tokens cannot be checked. Try again shortly."
    retryable = True


class AccountsUnavailable(AuthError):
    """The database of accounts cannot be read or written, so nobody new can be recognised. Trying again may help."""

    code: Final = "accounts_unavailable"
    text = "The accounts cannot be reached, so who is asking cannot be looked up. Try again shortly."
    retryable = True


class CrossSite(AuthError):
    """A cookie came with a request that a page of another site may have made. Trying again does not help."""

    text = "A cookie is taken only from a page of this server itself."


class ConfirmFirst(AuthError):
    """Accounts are to be changed from a browser in which nobody has signed in for a while. Confirming cures it."""

    text = "You signed in a while ago. Show your password again, or sign in again with your identity provider."


class SignInFailed(AuthError):
    """A sign-in with an identity provider cannot begin or go on. The caller or the provider is at fault."""

    text = "The sign-in did not succeed. Begin it again."

    def __init__(self, explanation: str = "") -> None:
        super().__init__(explanation or self.text)
        self.explanation: Final = explanation or self.text


class Throttled(AuthError):
    """There were too many attempts, or too many at once. Trying again helps after `retry_after_s`."""

    text = "Too many attempts. Try again later."
    retryable = True

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s:.0f} s")
        self.retry_after_s: Final = retry_after_s


class OverLimit(AuthError):
    """A principal has asked for more than a limit allows. Trying again helps after `retry_after_s`."""

    text = "A limit on your requests is reached."
    retryable = True

    def __init__(self, code: Literal["rate_limited", "quota_exceeded"], limit: str, allows: str, wait_s: float) -> None:
        """Name the limit (`limit`), and say in words what it allows (`allows`)."""
        super().__init__(f"{code}: {limit}")
        self.code: Final = code
        self.limit: Final = limit
        self.explanation: Final = f"The limit '{limit}' allows you {allows}. Try again after the time in Retry-After."
        self.retry_after_s: Final = wait_s


class AccountError(AuthError):
    """An account cannot be changed as asked. The caller is at fault; `explanation` may be shown to an administrator."""

    text = "The account cannot be changed in this way."

    _EXPLANATIONS: ClassVar[dict[AccountProblem, str]] = {
        "bad_name": "A name is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or a digit.",
        "bad_password": "A password is 8 to 1024 characters of text.",
        "common_password": "This password is among the first that are tried: it is common, or the account's name.",
        "no_password": "A service has no password: it has API keys.",
        "unknown_role": "There is no role of this name.",
        "bad_days": "Keys are good for 1 to 730 days.",
        "bad_key_name": "The name of a pair of keys is 1 to 64 printable characters.",
        "bad_pattern": "A model's pattern is its name, or the beginning of its name and an asterisk.",
        "exists": "There is an account of this name already.",
        "unknown": "There is no account of this name.",
        "bad_role_name": "A role's name is 1 to 32 of a-z 0-9 - and begins with a letter.",
        "built_in": "The built-in roles cannot be changed. Make one of your own.",
        "role_in_use": "An account or a grant has this role. Give them another one first.",
        "no_such_role": "There is no role of this name.",
        "bad_grantee": "A grant is for the name of a principal, or for `group:` and the name of a group.",
        "bad_group": "The name of a group is 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with a letter or a digit.",
        "unknown_grant": "There is no such grant.",
        "unknown_key": "There is no such pair of keys.",
        "bad_limit_name": "A limit's name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or a digit.",
        "bad_limited": "A limit is for the name of a principal, `role:` and a role, `group:` and a group, or `*`.",
        "bad_amount": "A limit is a whole number of requests or of rows, 1 to 1,000,000,000, and so is its burst.",
        "burst_of_quota": "A burst is for a limit per second or minute. A quota of a day or month has none.",
        "too_many_limits": "There are 1,000 limits already. One for a role, a group or `*` does for many principals.",
        "unknown_limit": "There is no limit of this name.",
        "unknown_page": "What `after` names is not in the list any more. Begin the list anew.",
        "bad_text": "A text has half of a character in it, which cannot be kept.",
        "lacking": "Nobody can give what they may not do themselves.",
        "elsewhere": "Your password is kept by your identity provider. Change it there.",
        "last_admin": "The last admin has to stay one: nobody could manage accounts any more.",
        "in_file": "The accounts are kept in a file. Change it where it comes from; `tandem users hash` makes a line.",
    }

    _CODES: ClassVar[dict[AccountProblem, AccountCode]] = {
        "built_in": "conflict",
        "role_in_use": "conflict",
        "exists": "conflict",
        "last_admin": "conflict",
        "in_file": "conflict",
        "elsewhere": "conflict",
        "too_many_limits": "conflict",
        "unknown_limit": "not_found",
        "unknown": "not_found",
        "unknown_key": "not_found",
        "unknown_grant": "not_found",
        "no_such_role": "not_found",
        "lacking": "forbidden",
    }

    def __init__(self, problem: AccountProblem) -> None:
        super().__init__(problem)
        self.problem: Final = problem

    @property
    def code(self) -> AccountCode:
        """The kind of refusal: `invalid_input` where what was asked for is not well formed."""
        return self._CODES.get(self.problem, "invalid_input")

    @property
    def explanation(self) -> str:
        """What is wrong, in words for an administrator."""
        return self._EXPLANATIONS[self.problem]


class NoRefreshTokens(AuthError):
    """A refresh token was used where there are none. The caller is at fault; signing in again cures it."""

    text = "There are no refresh tokens here. Sign in again when the access token has expired."


class SetupError(AuthError):
    """The data folder or a file of secrets is not fit for use, and the start must stop.

    The operator is at fault, and the message says what to do.
    """

    text = "Authentication is not set up."
