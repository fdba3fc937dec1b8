from typing import get_args

from auth.errors import REASONS, AccountError, AccountProblem, AuthError, Forbidden, Throttled, Unauthenticated


def test_every_refusal_reads_the_same_to_a_client() -> None:
    assert len({Unauthenticated(reason).text for reason in REASONS}) == 1


def test_no_client_text_gives_the_reason_away() -> None:
    text = Unauthenticated.text.lower()
    assert not any(reason.replace("_", " ") in text for reason in REASONS if reason != "missing")


def test_every_account_problem_is_explained() -> None:
    assert all(AccountError(problem).explanation for problem in get_args(AccountProblem))


def test_only_throttling_is_worth_another_try() -> None:
    errors: list[AuthError] = [Unauthenticated("expired"), Forbidden("accounts"), AccountError("exists"), Throttled(1)]
    assert [error.retryable for error in errors] == [False, False, False, True]
