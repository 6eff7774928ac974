"""Build a query and its body, and emit a ready one again

Microseconds from nothing to the bytes of a request for one page of events, and of a query that was sent before: through our client, the
official one, and a dict literal with an encoder, which checks nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from side_by_side import (
    OURS,
    Claim,
    arguments,
    in_turn,
    official_python,
    print_figures,
    tell,
    timed,
)

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def chain() -> Callable[[], object]:
    """A query as a nightly job asks it, in the words that both packages have."""
    from vectorshift.analytics import Analytics, EventField

    def build() -> object:
        return Analytics.query(object_type="pipeline", object_ids=["pl_1"], limit=500).where(
            EventField.EVENT_START_TIME >= START,
            EventField.EVENT_START_TIME < END,
            EventField.STATUS == "failure",
            session_name="nightly",
        )

    return build


def ours() -> tuple[Callable[[], object], Callable[[object], bytes]]:
    import msgspec

    from vectorshift.analytics import _flows as flows

    encode = msgspec.json.encode  # as the transport does
    return chain(), lambda query: encode(next(flows.events(query._spec)).body)


def official() -> tuple[Callable[[], object], Callable[[object], bytes]]:
    import json

    # As requests does.
    return chain(), lambda query: json.dumps(query._span_list_body(None, None)).encode()


def literal() -> tuple[Callable[[], object], Callable[[object], bytes]]:
    import msgspec

    def build() -> object:
        return {
            "filters": [
                {
                    "column_name": "ObjectId",
                    "value": {"string_value": "pl_1"},
                    "operator": "OPERATOR_EQUAL",
                },
            ],
            "table_filters": [
                {
                    "basic_op": {
                        "column": "STATUS",
                        "value": {"string_value": "failure"},
                        "operation": "EQUALS",
                    }
                },
                {
                    "basic_op": {
                        "column": "SESSION_NAME",
                        "value": {"string_value": "nightly"},
                        "operation": "EQUALS",
                    }
                },
            ],
            "start_time": f"{START.isoformat()[:-6]}Z",
            "end_time": f"{END.isoformat()[:-6]}Z",
            "pagination_config": {"results_per_page": 500, "page_number": 1, "offset": 0},
        }

    return build, msgspec.json.encode


WAYS = {"ours": ours, "official": official, "literal": literal}


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    seconds = 0.3 if options.quick else 0.5
    if options.way:
        build, emit = WAYS[options.way]()
        seconds = float(options.rest[0])
        ready = build()
        emit(ready)
        print_figures(
            built=1e6 * timed(lambda: emit(build()), seconds),
            again=1e6 * timed(lambda: emit(ready), seconds),
        )
        return
    pythons = {"ours": OURS, "official": official_python(), "literal": OURS}
    found = in_turn(__file__, pythons, 3 if options.quick else 5, seconds)
    told = {
        "built": ("build a query and its body", ">= 1.5", "0.41"),
        "again": ("emit a ready query again", ">= 5", "0.49"),
    }
    for name, (what, target, before) in told.items():
        mine, theirs, limit = (found[way][name] for way in WAYS)
        tell(
            Claim(
                what,
                theirs / mine,
                "x official",
                target,
                before,
                f"ours {mine:.1f} µs, official {theirs:.1f} µs, dict and encoder {limit:.1f} µs",
            )
        )


if __name__ == "__main__":
    main()
