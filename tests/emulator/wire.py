"""The wire in Python: a JSON client over plain sockets, and filters. Shares no code with the SDK."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

API = "/v1/analytics"
SINCE = "2020-01-01T00:00:00Z"


@dataclass
class Client:
    """Asks one emulator, one connection per request."""

    base_url: str
    api_key: str

    def raw(self, method, path, body=None, headers=None):
        """Status, headers and bytes of one reply; `path` starts after the host."""
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=20)
        headers = {"Authorization": f"Bearer {self.api_key}"} if headers is None else headers
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def ask(self, path, body: Any = None, *, status=200, method=None):
        """The decoded reply of an endpoint, its status checked."""
        text = None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        got, _, reply = self.raw(method, API + path, text)
        assert got == status, reply
        return json.loads(reply)

    def count(self, **body):
        """The answer of count."""
        return int(self.ask("/events/count", body)["count"])

    def search(self, **body):
        """The events of a search, by default up to 1,000 of them."""
        body.setdefault("pagination_config", {"results_per_page": 1000})
        return self.ask("/events/search", body)["events"]

    def spans(self, **body):
        """The span ids of a search, in order."""
        return [event["spanId"] for event in self.search(**body)]

    def refused(self, path, body):
        """The text with which a request is refused."""
        reply = self.ask(path, body, status=400)
        assert reply["status"] == "failed"
        return reply["error"]

    def aggregate(self, *operations, by=("TIME",), interval="YEAR", **body):
        """The aggregation result of `runs.sum`-like operations."""
        requested = []
        for operation in operations:
            field, _, name = operation.partition(".")
            options = {"percentile": int(name[1:])} if name[0] == "p" else {}
            operator = "percentile" if name[0] == "p" else name
            requested.append({"field": field.upper(), "operator": {operator: options}})
        unit = {"slice_units": list(by)} | ({"interval": interval} if "TIME" in by else {})
        reply = self.ask(
            "/aggregations",
            {"start_time": SINCE, "aggregation_operations": requested, "slice_unit": unit, **body},
        )
        return reply["result"]["aggregationResult"]


def text_filter(column, value, operation="EQUALS"):
    """A basic data filter with a text value."""
    return {
        "basic_op": {"column": column, "value": {"string_value": value}, "operation": operation}
    }


def time_filter(column, value, operation):
    """A basic data filter with an instant."""
    return {"basic_op": {"column": column, "value": {"timestamp": value}, "operation": operation}}


def includes(column, *values):
    """An INCLUDES filter over texts."""
    return {
        "compound_op": {
            "column": column,
            "values": [{"string_value": value} for value in values],
            "operation": "INCLUDES",
        }
    }


def scope(column, value, operator="OPERATOR_EQUAL"):
    """A scope filter."""
    return {"column_name": column, "value": {"string_value": value}, "operator": operator}
