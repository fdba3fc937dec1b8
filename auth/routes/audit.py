"""Reading the audit: page by page as JSON, or whole as CSV or JSON lines."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict

from auth.audit import Act, Wanted, pages
from auth.audit_text import HEADS, WRITERS, Form, as_data
from auth.principal import Principal
from auth.routes.answers import NO_STORE
from auth.routes.closed import auth_of, require, router
from auth.setup import Auth

FORMS: dict[str, Form] = {"text/csv": "csv", "application/x-ndjson": "jsonl", "application/jsonl": "jsonl"}
MEDIA_TYPES: dict[Form, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


class AuditRow(BaseModel):
    """One line of the audit."""

    seq: int
    at: str
    who: str
    via: str
    address: str
    request_id: str
    action: str
    target: str
    outcome: str
    more: dict[str, Any]
    chain: str


class Asked(BaseModel):
    """The query of the route: which rows are wanted."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    who: Annotated[str | None, Query(max_length=300)] = None
    action: Annotated[str | None, Query(max_length=100)] = None
    outcome: Annotated[str | None, Query(max_length=100)] = None
    after: Annotated[int, Query(ge=0, le=2**62, description="The seq of the last row of the page before.")] = 0
    limit: Annotated[int, Query(ge=1, le=200)] = 100


@router.get(
    "/audit",
    response_model=list[AuditRow],
    responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}, 409: {}},
)
async def audit(
    request: Request,
    response: Response,
    asked: Annotated[Asked, Query()],
    auditor: Annotated[Principal, Depends(require("audit"))],
) -> Any:
    """Who did what. With `Accept: text/csv` or `application/x-ndjson` all rows that are wanted, else one page."""
    auth = auth_of(request)
    since, until = (time.timestamp() if time is not None else None for time in (asked.since, asked.until))
    wanted = Wanted(since, until, asked.who, asked.action, asked.outcome, asked.after)
    form = FORMS.get(request.headers.get("accept", "").partition(";")[0].strip().lower())
    if form is None:
        response.headers.update(NO_STORE)
        return [as_data(row) for row in await auth.login.writing.run(auth.accounts.audit.rows, wanted, asked.limit)]
    await auth.login.writing.run(auth.accounts.audit.write, Act("audit.exported", form), auth.clock())
    headers = NO_STORE | {"content-disposition": f'attachment; filename="audit.{form}"'}
    return StreamingResponse(_exported(auth, wanted, form), media_type=MEDIA_TYPES[form], headers=headers)


def _exported(auth: Auth, wanted: Wanted, form: Form) -> Iterator[str]:
    """The export, piece by piece; Starlette asks for each in a thread."""
    yield HEADS[form]
    for page in pages(auth.accounts.audit, wanted):
        yield WRITERS[form](page)
