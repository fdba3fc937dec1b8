"""Reading what principals have asked for: page by page as JSON, or whole as CSV or JSON lines."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from auth.audit import Act
from auth.audit_text import Form
from auth.limits.usage import UsageRow, WantedUsage
from auth.limits.usage_text import HEADS, WRITERS, pages
from auth.principal import Principal
from auth.routes.answers import NO_STORE
from auth.routes.audit import FORMS, MEDIA_TYPES
from auth.routes.closed import auth_of, require, router
from auth.setup import Auth

_NAME = r"^[!-~]{1,300}$"


class UsageReply(BaseModel):
    """What a principal has asked a model for on a day of UTC."""

    day: str
    principal: str
    model: str
    requests: int = Field(description="Requests that were let through.")
    rows: int = Field(description="Rows that were predicted.")
    refused: int = Field(description="Requests that were refused for a limit.")


class AskedUsage(BaseModel):
    """The query of the route: which rows are wanted."""

    model_config = ConfigDict(extra="forbid")

    who: Annotated[str | None, Query(pattern=_NAME)] = None
    model: Annotated[str | None, Query(pattern=_NAME)] = None
    from_: Annotated[date | None, Query(alias="from", description="A day of UTC, such as 2026-11-30.")] = None
    to: Annotated[date | None, Query(description="The last day.")] = None
    after: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}/[!-.0-~]{1,300}/[!-~]{1,300}$",
            description="Day, model and principal of the last row of the page before, with slashes between.",
        ),
    ] = None
    limit: Annotated[int, Query(ge=1, le=200)] = 100


@router.get(
    "/usage",
    response_model=list[UsageReply],
    responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}, 409: {}},
)
async def usage(
    request: Request,
    response: Response,
    asked: Annotated[AskedUsage, Query()],
    admin: Annotated[Principal, Depends(require("accounts"))],
) -> Any:
    """What everybody under a limit has used. With `Accept: text/csv` or `application/x-ndjson` all rows, else a page.

    Whoever no limit holds for is not counted. It is true to the last second.
    """
    auth = auth_of(request)
    wanted = WantedUsage(asked.who, asked.model, asked.from_, asked.to, _place(asked.after))
    form = FORMS.get(request.headers.get("accept", "").partition(";")[0].strip().lower())
    if form is None:
        response.headers.update(NO_STORE)
        rows = await auth.login.writing.run(auth.accounts.usage.rows, wanted, asked.limit)
        return [_shown(row) for row in rows]
    await auth.login.writing.run(auth.accounts.audit.write, Act("usage.exported", form), auth.clock())
    headers = NO_STORE | {"content-disposition": f'attachment; filename="usage.{form}"'}
    return StreamingResponse(_exported(auth, wanted, form), media_type=MEDIA_TYPES[form], headers=headers)


def _exported(auth: Auth, wanted: WantedUsage, form: Form) -> Iterator[str]:
    """The export, piece by piece; Starlette asks for each in a thread."""
    yield HEADS[form]
    for page in pages(auth.accounts.usage, wanted):
        yield WRITERS[form](page)


def _place(after: str | None) -> tuple[str, str, str] | None:
    if after is None:
        return None
    day, model, principal = after.split("/", 2)
    return day, principal, model


def _shown(row: UsageRow) -> UsageReply:
    return UsageReply(
        day=row.day,
        principal=row.principal,
        model=row.model,
        requests=row.requests,
        rows=row.rows,
        refused=row.refused,
    )
