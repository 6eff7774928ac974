"""The generator: exact numbers, the same rows everywhere, whole trees, consistent prices."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from vectorshift_emulator.data import catalogue, seed
from vectorshift_emulator.data.store import Store

END = datetime(2026, 3, 2, tzinfo=UTC)
DIGEST = """SELECT md5(string_agg(replace(e::VARCHAR, ', ''start_ns'': 0', ''), '|' ORDER BY e.rowid))
    FROM events e"""
GOLDEN = "9932e092a4687db37cd990173b3e9f75"
"""Digest of 2,000 rows of seed 7: whoever changes the generator sees that all rows changed."""


def one(store, query, *params):
    """The single value of a query."""
    return store.cursor().execute(query, params).fetchall()[0][0]


def filled(store, events=10_000, days=30, seed_=7, end=END):
    """The store with generated events."""
    seed.fill(store.cursor(), events=events, days=days, seed=seed_, end=end)
    return store


@pytest.fixture(scope="module")
def month():
    """10,000 events of 30 days, which nobody changes."""
    store = Store()
    yield filled(store)
    store.close()


@pytest.mark.parametrize("events", [0, 1, 2, 5, 6, 17, 413, 5_000])
def test_exactly_as_many_rows_as_requested(store, events):
    """fill inserts exactly `events` rows, each with a span id of its own and no parent missing."""
    filled(store, events)
    assert store.count() == events
    assert one(store, "SELECT count(DISTINCT span_id) FROM events") == events
    orphans = """SELECT count(*) FROM events c WHERE parent_span_id IS NOT NULL AND NOT EXISTS
        (FROM events p WHERE p.span_id = c.parent_span_id AND p.trace_id = c.trace_id)"""
    assert one(store, orphans) == 0
    if events == 1:
        assert one(store, "SELECT is_run FROM events") is True


def test_chunks_join_without_a_seam(store, monkeypatch):
    """A fill in many chunks gives the rows of a fill in one."""
    whole = one(filled(store, 1_500), DIGEST)
    monkeypatch.setattr(seed, "_CHUNK_TRACES", 61)
    chunked = Store()
    assert one(filled(chunked, 1_500), DIGEST) == whole
    chunked.close()


def test_rows_depend_on_the_arguments_alone(month):
    """Two fills, on one thread and on four, give the same rows in the same order; a seed other."""
    digests = []
    for threads, seed_ in ((1, 7), (4, 7), (4, 8)):
        store = Store()
        store.cursor().execute(f"SET threads = {threads}")
        digests.append(one(filled(store, seed_=seed_), DIGEST))
        store.close()
    assert digests[0] == digests[1] == one(month, DIGEST) != digests[2]


def test_rows_do_not_depend_on_the_machine(store):
    """The digest of 2,000 rows is the one written here."""
    assert one(filled(store, 2_000), DIGEST) == GOLDEN


@pytest.mark.parametrize(
    ("events", "days", "hour"), [(12_000, 1, 16), (3_000, 30, 0), (3_000, 400, 5)]
)
def test_every_time_lies_in_the_window_on_the_millisecond(store, events, days, hour):
    """Starts and ends lie in [end - days, end), also at a busy end, and on the millisecond."""
    end = END + timedelta(hours=hour)
    filled(store, events, days, end=end)
    high = end.replace(tzinfo=None)
    bounds = {"low": high - timedelta(days=days), "high": high}
    outside = """SELECT count(*) FROM events WHERE start_time < $low OR start_time >= $high
        OR end_time < start_time OR end_time >= $high
        OR epoch_us(start_time) % 1000 <> 0 OR epoch_us(end_time) % 1000 <> 0"""
    assert store.cursor().execute(outside, bounds).fetchone() == (0,)


def test_children_lie_inside_their_parents(month):
    """A child starts and ends within its parent; a parent of a running child runs."""
    astray = """SELECT count(*) FROM events c JOIN events p ON p.span_id = c.parent_span_id
        WHERE c.start_time < p.start_time OR c.start_time > p.end_time OR c.end_time > p.end_time
        OR (c.end_time IS NULL AND p.end_time IS NOT NULL)"""
    assert one(month, astray) == 0


def test_a_trace_is_one_tree_some_deeper_than_two(month):
    """Every trace has one root and shares its facts; some nest at least two levels below it."""
    trees = """SELECT count(*) FROM (SELECT trace_id FROM events GROUP BY trace_id
        HAVING count(*) FILTER (parent_span_id IS NULL) <> 1 OR count(DISTINCT object_id) <> 1
        OR count(DISTINCT execution_id) <> 1 OR count(DISTINCT run_id) > 1)"""
    assert one(month, trees) == 0
    deep = """SELECT count(*) FROM events c JOIN events p ON p.span_id = c.parent_span_id
        JOIN events g ON g.span_id = p.parent_span_id"""
    assert one(month, deep) > 500


def test_a_run_is_a_root_of_a_run_kind_and_counts_once(month):
    """is_run marks roots of `*.run` and `pipeline.bulk_run`; only they bear latency and costs."""
    wrong = """SELECT count(*) FROM events WHERE is_run <>
        (parent_span_id IS NULL AND (span_kind LIKE '%.run' OR span_kind LIKE '%.bulk_run'))"""
    assert one(month, wrong) == 0
    wrong = """SELECT count(*) FROM events, (VALUES (is_run AND status <> 'in_progress')) v(bears)
        WHERE (latency IS NOT NULL) <> bears OR (tokens IS NOT NULL) <> bears
        OR (model_costs IS NOT NULL) <> bears OR (ai_credits IS NOT NULL) <> bears"""
    assert one(month, wrong) == 0


def test_latencies_are_the_spans(month):
    """latency and node_latency are end minus start in milliseconds; nodes have a node type."""
    wrong = """SELECT count(*) FROM events WHERE end_time IS NOT NULL AND
        coalesce(latency, node_latency, epoch_ms(end_time) - epoch_ms(start_time))
        <> epoch_ms(end_time) - epoch_ms(start_time)"""
    assert one(month, wrong) == 0
    wrong = """SELECT count(*) FROM events
        WHERE (node_latency IS NOT NULL) <> (node_type IS NOT NULL AND end_time IS NOT NULL)
        OR (end_time IS NULL) <> (status = 'in_progress')"""
    assert one(month, wrong) == 0


def test_costs_are_tokens_times_prices(month):
    """A run costs its tokens times its model's price per 1k; its credits say the same."""
    prices = {model.model_id: model for model in catalogue.MODELS}
    runs = (
        month.cursor()
        .execute(
            """SELECT model_id, tokens, model_costs, ai_credits,
            (span_attributes->>'prompt_tokens')::INT, (span_attributes->>'completion_tokens')::INT,
            (span_attributes->>'tokens')::INT, (span_attributes->>'model_costs')::DOUBLE
        FROM events WHERE tokens IS NOT NULL"""
        )
        .fetchall()
    )
    assert {row[0] for row in runs} == {*prices, None}
    for model_id, tokens, costs, credits, prompt, completion, reported, told_costs in runs:
        assert tokens == reported == prompt + completion
        assert costs == told_costs
        if model_id is None:
            assert tokens == costs == 0
            continue
        usd = (
            prompt * prices[model_id].prompt_price + completion * prices[model_id].completion_price
        )
        assert costs == usd / 1e9
        assert credits == pytest.approx(costs * catalogue.CREDITS_PER_USD)


def test_the_tokens_of_llm_nodes_add_up_to_their_run(month):
    """The LLM nodes under a finished run bear all of its tokens, in their attributes."""
    differing = """SELECT count(*), count(*) FILTER (node_tokens <> run_tokens) FROM (
        SELECT sum(tokens) AS run_tokens,
            sum((span_attributes->>'prompt_tokens')::INT
                + (span_attributes->>'completion_tokens')::INT)
                FILTER (node_type = 'llm') AS node_tokens
        FROM events WHERE trace_id IN (SELECT trace_id FROM events WHERE tokens > 0)
            AND trace_id <> (SELECT trace_id FROM events ORDER BY rowid DESC LIMIT 1)
        GROUP BY trace_id) WHERE node_tokens IS NOT NULL"""
    runs, wrong = month.cursor().execute(differing).fetchone()
    assert runs > 1_000
    assert wrong == 0


def test_the_week_has_a_rhythm(month):
    """Office hours are busier than nights and weekdays than weekends."""
    per_hour = """SELECT count(*) FILTER (hour(start_time) BETWEEN 9 AND 16) / 8.0
        > 2 * count(*) FILTER (hour(start_time) < 7) / 7.0 FROM events"""
    assert one(month, per_hour)
    per_day = """SELECT count(*) FILTER (isodow(start_time) <= 5) / 5.0
        > 2 * count(*) FILTER (isodow(start_time) > 5) / 2.0 FROM events"""
    assert one(month, per_day)


def test_an_object_fails_for_an_hour_now_and_then(month):
    """Some object has an hour in which several runs fail and hardly one succeeds."""
    outages = """SELECT count(*) FROM (SELECT object_id, date_trunc('hour', start_time)
        FROM events WHERE is_run GROUP BY ALL
        HAVING count(*) FILTER (status = 'failure') >= 4
            AND count(*) FILTER (status = 'success') <= 1)"""
    assert one(month, outages) >= 2
    assert one(month, "SELECT avg((status = 'failure')::INT) FROM events WHERE is_run") < 0.1


def test_every_kind_and_entity_is_there(month):
    """All kinds of the contract occur, eight entities with several objects, models, feedback."""
    kinds = {
        *("pipeline.run", "pipeline.bulk_run", "chatbot.run", "chatbot.file_upload"),
        *("chatbot.terminate", "chatbot.message_like", "chatbot.fetch_kb_data", "search.run"),
        *("search.chat_with_docs", "search.doc_qna", "search.message_feedback", "search.terminate"),
        *("search.fetch_kb_data", "form.run", "form.chat", "voicebot.run", "bulkjob.run"),
        *("bulkjob.fetch_kb_data", "bulkjob.io_nodes", "session.create", "session.add_message"),
        "portal.create",
    }
    seen = {row[0] for row in month.cursor().execute("SELECT span_kind FROM events").fetchall()}
    assert {kind for kind in seen if not kind.endswith(".node")} == kinds
    objects = (
        month.cursor()
        .execute("SELECT entity, count(DISTINCT object_id) FROM events GROUP BY entity")
        .fetchall()
    )
    assert {entity for entity, _ in objects} == set(catalogue.ENTITIES)
    assert min(count for _, count in objects) >= 3
    assert one(month, "SELECT count(DISTINCT feedback_type) FROM events") == 2
    assert one(month, "SELECT count(DISTINCT status) FROM events WHERE is_run") == 3
    assert one(month, "SELECT count(DISTINCT error_message) FROM events") > 8
    assert one(month, "SELECT count(DISTINCT user_id) FROM events") == len(catalogue.USERS)


def test_running_runs_are_the_latest(month):
    """Runs in progress started within the last minutes of the window."""
    oldest = one(month, "SELECT min(start_time) FROM events WHERE status = 'in_progress'")
    assert oldest.replace(tzinfo=UTC) > END - timedelta(minutes=5)


def test_json_columns_are_json(month):
    """object_info, span_attributes and interface_data are JSON objects or NULL."""
    wrong = """SELECT count(*) FROM events WHERE json_type(object_info) <> 'OBJECT'
        OR json_type(span_attributes) <> 'OBJECT' OR json_type(interface_data) <> 'OBJECT'"""
    assert one(month, wrong) == 0


def test_a_burst_is_runs_of_one_object_at_one_moment(store):
    """burst inserts failed runs 1 ms apart and returns their span ids in order."""
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = seed.burst(
        store.cursor(), at=at, count=3, object_id="cb_2", error_message='a "b",\nc', seed=1
    )
    rows = (
        store.cursor()
        .execute(
            """SELECT span_id, epoch_ms(start_time), object_id, span_kind, status, error_message,
            is_run FROM events ORDER BY start_time"""
        )
        .fetchall()
    )
    first = int(at.timestamp() * 1000)
    assert rows == [
        (ids[k], first + k, "cb_2", "chatbot.run", "failure", 'a "b",\nc', True) for k in range(3)
    ]


def test_a_burst_of_an_unknown_object_is_its_pipelines(store):
    """An id that the generator does not know becomes a pipeline; a status can be requested."""
    seed.burst(store.cursor(), at=END, count=2, status="in_progress", object_id="mine", seed=1)
    rows = (
        store.cursor()
        .execute(
            """SELECT DISTINCT object_id, span_kind, status, end_time, tokens, error_message
            FROM events"""
        )
        .fetchall()
    )
    assert rows == [("mine", "pipeline.run", "in_progress", None, None, None)]


def test_a_burst_of_sessions_is_not_a_run(store):
    """A burst on an object without runs inserts its create events."""
    seed.burst(store.cursor(), at=END, count=1, object_id="ss_1", seed=1)
    assert store.cursor().execute("SELECT span_kind, is_run FROM events").fetchall() == [
        ("session.create", False)
    ]


def test_the_same_burst_twice_is_refused(store):
    """A second burst with the seed and the moment of the first is an error, and adds nothing."""
    seed.burst(store.cursor(), at=END, count=2, seed=1)
    with pytest.raises(ValueError, match="give another seed"):
        seed.burst(store.cursor(), at=END, count=5, seed=1)
    assert len(seed.burst(store.cursor(), at=END, count=2, seed=2)) == 2
    assert store.count() == 4


def test_live_events_are_whole_traces_from_now_on(store):
    """live_events inserts `count` small traces that start at `now`."""
    rng = random.Random(3)
    for _ in range(2):
        seed.live_events(store.cursor(), rng=rng, now=END, count=20)
    assert one(store, "SELECT count(DISTINCT trace_id) FROM events") == 40
    assert one(store, "SELECT max(n) FROM (SELECT count(*) n FROM events GROUP BY trace_id)") <= 5
    roots = """SELECT min(epoch_ms(start_time)), max(epoch_ms(start_time))
        FROM events WHERE parent_span_id IS NULL"""
    first = int(END.timestamp() * 1000)
    assert store.cursor().execute(roots).fetchone() == (first, first + 19)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"events": -1}, "events must be"),
        ({"events": 10_000_001}, "events must be"),
        ({"days": 0}, "days must be"),
        ({"days": 401}, "days must be"),
        ({"end": datetime(2026, 3, 2)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_bad_arguments_are_refused(store, change, problem):
    """An argument out of range is an error that names it, and nothing is inserted."""
    arguments = {"events": 10, "days": 2, "seed": 1, "end": END} | change
    with pytest.raises(ValueError, match=problem):
        seed.fill(store.cursor(), **arguments)
    assert store.count() == 0


def test_an_unknown_status_of_a_burst_is_refused(store):
    """A burst's status is one of three."""
    with pytest.raises(ValueError, match="status must be"):
        seed.burst(store.cursor(), at=END, count=1, status="FAILED", seed=1)
