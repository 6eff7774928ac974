"""The nine endpoints of the service and the download route: a request in, a reply out.

Source: docs/contract.md A2, A5. What is common to all routes (auth, faults, counting) is in `app.py`.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from vectorshift_emulator._service import Service
from vectorshift_emulator.api import aggregates, conditions, contract, replies, rundata, sql
from vectorshift_emulator.api.columns import SCOPE
from vectorshift_emulator.api.contract import Parser
from vectorshift_emulator.api.protojson import refuse
from vectorshift_emulator.api.requests import (
    Aggregation,
    AnyOf,
    Comparison,
    Conditions,
    Search,
    Table,
)
from vectorshift_emulator.api.sql import Sql

Handler = Callable[[Service, Request], Awaitable[Response]]

EVERYTHING = 2**62
"""A limit that no table reaches."""


def parser(service: Service) -> Parser:
    """A reader of request bodies, as strict as the settings say."""
    return Parser(strict=service.settings.strict)


def where(service: Service, selection: Conditions) -> Sql:
    """The SQL of the conditions, read as the settings say."""
    return conditions.where(selection, service.settings)


def json_reply(text: str, status: int = 200) -> Response:
    """A reply of JSON text."""
    return Response(text, status, media_type="application/json")


async def count(service: Service, request: Request) -> Response:
    """POST /analytics/events/count."""
    selection = parser(service).count(await request.body())
    total = await service.store.run(_count, service, where(service, selection))
    payload = replies.counted("count", total, service.settings)
    return json_reply(replies.reply(payload, service.settings.envelope))


def _count(service: Service, condition: Sql) -> int:
    query = sql.count(condition)
    return int(service.store.cursor().execute(query.text, query.arguments).fetchall()[0][0])


def _texts(service: Service, query: Sql) -> list[str]:
    """The JSON texts that a query makes."""
    rows = service.store.cursor().execute(query.text, query.arguments).fetchall()
    return [text for (text,) in rows]


async def search(service: Service, request: Request) -> Response:
    """POST /analytics/events/search."""
    query = parser(service).search(await request.body())
    offset = 0 if repeats(request) else query.page.offset
    return json_reply(await service.store.run(_search, service, query, offset))


def repeats(request: Request) -> bool:
    """Whether a fault makes every page the first one."""
    return "first_page" in request.scope


def _search(service: Service, selection: Search, offset: int) -> str:
    condition, page, settings = (
        where(service, selection.conditions),
        selection.page,
        service.settings,
    )
    query = sql.objects(
        replies.event_json(settings),
        condition,
        sql.newest_first(settings, service.next_seed()),
        limit=page.size,
        offset=offset,
    )
    with service.store.snapshot():
        total, events = _count(service, condition), _texts(service, query)
    meta = replies.pagination(page, total, len(events), settings)
    text = replies.reply({"pagination_meta": meta}, settings.envelope)
    return replies.with_list(text, "events", events)


async def aggregations(service: Service, request: Request) -> Response:
    """POST /analytics/aggregations."""
    aggregation = parser(service).aggregation(await request.body())
    return json_reply(await service.store.run(_aggregations, service, aggregation))


def _aggregations(service: Service, aggregation: Aggregation) -> str:
    condition = where(service, aggregation.conditions)
    results = aggregates.result(service.store.cursor(), aggregation, condition, service.settings)
    name = replies.spelling(service.settings.keys)
    payload = {"result": {name("aggregation_result"): results}}
    return replies.reply(payload, service.settings.envelope)


async def tables(service: Service, request: Request) -> Response:
    """POST /analytics/tables."""
    table = parser(service).table(await request.body())
    offset = 0 if repeats(request) else sql.table_offset(table.page)
    return json_reply(await service.store.run(_table, service, table, offset))


def _table(service: Service, table: Table, offset: int) -> str:
    condition, settings = where(service, table.conditions), service.settings
    query = sql.objects(
        replies.row_json(table, settings),
        condition,
        sql.newest_first(settings, service.next_seed()),
        limit=table.page.size,
        offset=offset,
    )
    payload: dict[str, Any] = {"columns": replies.table_columns(table.columns)}
    with service.store.snapshot():
        rows = _texts(service, query)
        if table.record_count:
            total = _count(service, condition)
            payload |= replies.total_records(total, len(rows), settings)
    return replies.with_list(replies.reply(payload, settings.envelope), "rows", rows)


async def export_create(service: Service, request: Request) -> Response:
    """POST /analytics/exports."""
    export = parser(service).export(await request.body())
    condition, share = where(service, export.table.conditions), request.scope.get("short_file")
    limit = None
    if share is not None:
        limit = int(share * await service.store.run(_count, service, condition))
    query = sql.export(export, condition, service.settings, limit=limit)
    task = await service.store.run(
        service.exports.create,
        query.text,
        query.arguments,
        extension=export.extension,
        file_name=export.file_name,
    )
    service.counters.exports_created += 1
    is_waited_for = task.ready_at > task.created_at  # and so it is pending, however late this is
    moment = task.created_at if is_waited_for else datetime.now(UTC)
    return json_reply(replies.reply(task.reply(moment), service.settings.envelope))


async def export_poll(service: Service, request: Request) -> Response:
    """GET /analytics/exports/{task_id}."""
    task_id = path_id(request)
    query_parameters(request)
    task = None if service.settings.export_mode == "no-poll" else service.exports.task(task_id)
    if task is None:
        return json_reply(replies.failed("export task not found"), 404)
    return json_reply(replies.reply(task.reply(datetime.now(UTC)), service.settings.envelope))


async def trace(service: Service, request: Request) -> Response:
    """GET /analytics/traces/{trace_id}."""
    trace_id = path_id(request)
    query = query_parameters(request, "event_ids", "kinds")
    narrowed = Conditions(kinds=contract.kinds_of(query.get("kinds", "")))
    event_ids = tuple(filter(None, query.get("event_ids", "").split(",")))
    if event_ids:
        narrowed = Conditions(narrowed.kinds, (AnyOf(SCOPE["SpanId"], event_ids),))
    return json_reply(await service.store.run(_trace, service, trace_id, narrowed))


def _trace(service: Service, trace_id: str, narrowed: Conditions) -> str:
    trace_condition = where(
        service, Conditions(pinned=(Comparison(SCOPE["TraceId"], "=", trace_id),))
    )
    condition = sql.joined([trace_condition, where(service, narrowed)])
    query = sql.objects(
        replies.event_json(service.settings), condition, sql.OLDEST_FIRST, limit=EVERYTHING
    )
    with service.store.snapshot():
        if not _count(service, trace_condition):
            return replies.failed(f"no spans for trace {trace_id}")
        events = _texts(service, query)
    text = replies.reply({"trace_id": trace_id}, service.settings.envelope)
    return replies.with_list(text, "events", events)


async def event(service: Service, request: Request) -> Response:
    """GET /analytics/events/{event_id}."""
    event_id = path_id(request)
    query = query_parameters(request, "trace_id")
    pinned = [Comparison(SCOPE["SpanId"], "=", event_id)]
    if "trace_id" in query:
        pinned.append(Comparison(SCOPE["TraceId"], "=", query["trace_id"]))
    return json_reply(await service.store.run(_event, service, Conditions(pinned=tuple(pinned))))


def _event(service: Service, one: Conditions) -> str:
    query = sql.objects(
        replies.event_json(service.settings), where(service, one), sql.OLDEST_FIRST, limit=1
    )
    events = _texts(service, query)
    if not events:
        return replies.failed("event not found")
    return replies.with_object(replies.reply({}, service.settings.envelope), "event", events[0])


async def run_data(service: Service, request: Request) -> Response:
    """POST /analytics/run-data."""
    selection = parser(service).run_data(await request.body())
    result = await service.store.run(rundata.result, service.store, selection)
    if result is None:
        return json_reply(replies.failed(f"run {selection.run_identifier} not found"))
    return json_reply(replies.reply({"result": result}, service.settings.envelope))


async def download(service: Service, request: Request) -> Response:
    """GET /downloads/{task_id}/{file_name}: the signature in the URL is the only key."""
    return service.exports.download(request)


def path_id(request: Request) -> str:
    """The id in the last segment of the path, percent-decoded only after the path was cut.

    Raises:
        InvalidRequest: the id has a slash that is not percent-encoded, or is not UTF-8.
    """
    raw = request.scope["raw_path"].decode("latin-1")
    name = raw.removeprefix(request.scope["route_prefix"])
    if "/" in name:
        raise refuse("an id in a path must be percent-encoded")
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        raise refuse("an id in a path must be UTF-8") from None


def query_parameters(request: Request, *names: str) -> dict[str, str]:
    """The query parameters, each known and given once."""
    parameters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names or name in parameters:
            raise refuse(f'unknown or repeated query parameter "{name}"')
        parameters[name] = value
    return parameters
