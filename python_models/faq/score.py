"""Scoring script: the questions of an FAQ that a question matches, the most probable first.

The body is `{"question": "how do I stop the server?", "top": 3}`; `top` may be left out and is 5 then. The reply is a
list of `{"question_id", "answer_id", "probability", "question", "answer"}`, `answer` only where it is known. Any other
body is answered `{"error": "…"}`. `python_models/train/faq.py train` makes the file `model.joblib` beside this one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np

TOP = 5
MAX_CHARS = 1000

model: dict[str, Any] = {}


class BadQuestion(Exception):
    """The body cannot be used; the text is for the caller, who is at fault."""


def init() -> None:
    """Load the model, and answer one question, so that the first request finds everything imported."""
    path = Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib"
    if not path.is_file():
        raise FileNotFoundError("there is no model.joblib yet; `python_models/train/faq.py train` makes it")
    model.update(joblib.load(path))
    matched(model["questions"][0]["question"], TOP)


def run(raw_data: str) -> list[dict[str, Any]] | dict[str, str]:
    """Answer one request."""
    try:
        return matched(*asked(raw_data))
    except BadQuestion as e:
        return {"error": str(e)}


def asked(raw_data: str) -> tuple[str, int]:
    """The question, and how many matches are wanted. Raises BadQuestion."""
    try:
        body = json.loads(raw_data)
    except (ValueError, RecursionError) as e:
        raise BadQuestion("the body is not JSON") from e
    if not isinstance(body, dict) or not {"question"} <= body.keys() <= {"question", "top"}:
        raise BadQuestion('the body must be an object with "question" and, if you like, "top", and nothing else')
    question, top = body["question"], body.get("top", TOP)
    if not isinstance(question, str) or not question.strip() or len(question) > MAX_CHARS:
        raise BadQuestion(f'"question" must be a text of 1 to {MAX_CHARS} characters')
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise BadQuestion('"top" must be a whole number from 1 on')
    return question, top


def matched(question: str, top: int) -> list[dict[str, Any]]:
    """The best `top` matches, the most probable first."""
    probabilities = model["pipeline"].predict_proba([question])[:, 1]
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [_match(model["questions"][i], float(probabilities[i])) for i in best]


def _match(original: dict[str, str], probability: float) -> dict[str, Any]:
    match = {
        "question_id": original["question_id"],
        "answer_id": original["answer_id"],
        "probability": probability,
        "question": original["question"],
    }
    answer = model["answers"].get(original["answer_id"])
    return match if answer is None else match | {"answer": answer}
