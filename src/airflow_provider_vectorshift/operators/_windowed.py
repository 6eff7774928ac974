"""The base of operators that send one query over one window to one account."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._arguments import check_connection, checking, is_literal, name_of
from airflow_provider_vectorshift._context import data_interval, window_of
from airflow_provider_vectorshift._templates import rendered
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.values import as_json

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Window

_SOONEST, _LATEST = "1970-01-01T00:00:00Z", "2199-12-31T00:00:00Z"
"""Placeholders for an end of the window that is not known yet."""


class WindowedOperator(BaseOperator):
    """An operator about what a query selects from `start` to `end`, widened by `lookback` windows."""

    template_fields: Sequence[str] = ("query", "start", "end", "lookback", "vectorshift_conn_id")
    json_fields: ClassVar[Sequence[str]] = ("query", "rule", "metrics", "group_by")
    """The template fields that are JSON, also when their template renders to a string."""
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(json_fields, "json")
    ui_color = "#e6e4ff"

    def __init__(
        self,
        *,
        query: "Query | Mapping[str, Any] | None" = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: int | str = 0,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = as_json(query)
        self.start = start
        self.end = end
        self.lookback = lookback
        self.vectorshift_conn_id = vectorshift_conn_id
        check_connection(self._name, vectorshift_conn_id)
        if query is not None and is_literal(self.query):
            with self._checking("query="):
                self._bound_query()
        if is_literal(lookback):
            _ = self.intervals_before
        self._check_ends()

    def render_template_fields(
        self, context: "Context", jinja_env: "Environment | None" = None
    ) -> None:
        """Render the templates, after checking that the run has an interval for them to name."""
        if self._takes_data_interval:
            with failing_fast(self._name):
                data_interval(context)
        super().render_template_fields(context, jinja_env)
        for name in (each for each in self.json_fields if each in self.template_fields):
            value = as_json(getattr(self, name))
            if isinstance(value, str) and value.strip()[:1] in ("{", "["):
                raise AirflowFailException(
                    f"{self._name}: {name}= renders to a string that is not JSON: {value!r}. Write its "
                    "template as {{ ... | tojson }}."
                )
            setattr(self, name, value)

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As Airflow does it, but a string stays a string, and an empty result is refused.

        With `render_template_as_native_obj` Airflow reads a literal `404` as a number, and an empty
        parameter leaves an argument out, which would select every event of the account.

        Raises `AirflowFailException`, which names the template.
        """
        if not isinstance(content, str):
            return super().render_template(content, context, jinja_env, seen_oids)
        if is_literal(content):
            return content
        with failing_fast(self._name):
            return rendered(self, content, context, super().render_template, jinja_env)

    @property
    def _takes_data_interval(self) -> bool:
        return self.start is None or self.end is None

    def _window(self, context: Mapping[str, Any]) -> "Window":
        """The window of this run. Raises `WindowError` when it has none."""
        return window_of(context, self.start, self.end).lookback(self.intervals_before)

    def _check_ends(self) -> None:
        """Raise `SpecError` for an end that is known when the DAG is parsed, and is not a time."""
        ends = {
            name: end
            for name, end in (("start", self.start), ("end", self.end))
            if end is not None and is_literal(end)
        }
        if ends:
            from vectorshift_orchestration import Window

            with self._checking(" and ".join(f"{name}=" for name in ends)):
                Window.parse(ends.get("start", _SOONEST), ends.get("end", _LATEST))

    @property
    def intervals_before(self) -> int:
        """`lookback` as a number. Raises `SpecError` for anything else."""
        text = str(self.lookback).strip()
        if isinstance(self.lookback, bool) or not (text.isascii() and text.isdigit()):
            raise SpecError(
                f"{self._name}: lookback= is a whole number of intervals, 0 or more, not "
                f"{self.lookback!r}."
            )
        return int(text)

    @property
    def _hook(self) -> VectorShiftHook:
        return VectorShiftHook(self.vectorshift_conn_id)

    def _client(self) -> "Client":
        """The account's client, to be used as a context manager."""
        return self._hook.get_conn()

    def _bound_query(self, client: "Client | None" = None) -> "Query":
        """The query, bound to the account's client.

        Raises `SpecError` and `AnalyticsInvalidQuery` for a query that cannot be aggregated.
        """
        from vectorshift.analytics import Query
        from vectorshift_orchestration.specs.measurable import require_measurable

        query = Query.from_dict(self._query_document, client)
        if "group_by" in query.to_dict():
            raise SpecError("The query is grouped already: leave its group_by and interval out.")
        require_measurable(query)
        return query

    @property
    def _query_document(self) -> Mapping[str, Any]:
        """The query's JSON form. Raises `SpecError` for anything else."""
        if self.query is None:
            return {}
        if not isinstance(self.query, Mapping):
            raise SpecError(
                f"The query is a Query or the dict of its to_dict(), not {self.query!r}."
            )
        return self.query

    @property
    def _name(self) -> str:
        """The name of this task in errors."""
        return name_of(self)

    def _checking(self, arguments: str) -> AbstractContextManager[None]:
        """Name the task and the arguments in the core's errors."""
        return checking(self._name, arguments)
