"""Problem documents: the table is total, and a document is what RFC 9457 and our contract say."""

from __future__ import annotations

from http import HTTPStatus

import orjson
import pytest

from server.web.problems import CODES, DETAIL, RETRY_AFTER_S, STATUS, Code, Problem, problem


def test_every_code_has_a_status_and_words_of_its_own() -> None:
    assert set(STATUS) == set(DETAIL) == set(CODES)
    assert all(400 <= status < 600 and HTTPStatus(status).phrase for status in STATUS.values())
    assert len(set(DETAIL.values())) == len(CODES)
    assert all(detail.endswith(".") for detail in DETAIL.values())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("bad_body", 400),
        ("unauthenticated", 401),
        ("forbidden", 403),
        ("unknown_model", 404),
        ("body_too_large", 413),
        ("unsupported_media_type", 415),
        ("invalid_input", 422),
        ("queue_full", 429),
        ("model_failed", 500),
        ("no_worker", 503),
        ("deadline_exceeded", 504),
    ],
)
def test_the_contract_says_which_status_a_code_has(code: Code, status: int) -> None:
    assert problem(code).status == status


@pytest.mark.parametrize("code", CODES)
def test_a_document_says_everything_that_the_contract_names(code: Code) -> None:
    document = orjson.loads(problem(code).body("the-id"))
    assert document == {
        "type": f"urn:tandem:problem:{code}",
        "title": HTTPStatus(STATUS[code]).phrase,
        "status": STATUS[code],
        "code": code,
        "detail": DETAIL[code],
        "request_id": "the-id",
    }


def test_faults_and_the_models_own_words_are_told_where_there_are_any() -> None:
    document = orjson.loads(Problem("invalid_input", "d", [{"row": 1}], "own words").body("id"))
    assert (document["errors"], document["model_message"]) == ([{"row": 1}], "own words")


def test_a_problem_is_never_cached_and_says_what_it_is() -> None:
    assert problem("not_found").headers() == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize("code", RETRY_AFTER_S)
def test_what_passes_by_itself_says_when_to_try_again(code: Code) -> None:
    headers = problem(code).headers()
    assert headers["retry-after"] == "1"
    assert headers["retry-after-ms"] == str(round(RETRY_AFTER_S[code] * 1000))


def test_the_time_to_try_again_can_be_stated() -> None:
    headers = problem("too_many_attempts", retry_after_s=6.0301).headers()
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("7", "6031")


def test_a_401_says_how_to_authenticate() -> None:
    assert problem("unauthenticated").headers()["www-authenticate"] == "Bearer"
