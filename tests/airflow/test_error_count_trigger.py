"""The watcher's trigger in a plain event loop against the emulator: what fires, once, and what it costs."""

import asyncio
import json
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers import VectorShiftErrorCountTrigger, error_count
from tests.airflow.running import given_to_trigger, stored_and_read, yesterday
from vectorshift import Analytics
from vectorshift_orchestration import Absolute, Baseline, Change, Judging, Rate, evaluate
from vectorshift_orchestration.watching import SharedPoll
from vectorshift_orchestration.windows.clock import newest_window

DAY = timedelta(days=1)
WATCHED = Analytics.query(object_ids=["watched"])
STATED = {
    "rule": json.dumps(Rate(warn=0.1, error=0.5).to_dict(), sort_keys=True),
    "window": 3600.0,
    "query": json.dumps(WATCHED.to_dict(), sort_keys=True),
    "vectorshift_conn_id": "vs",
    "interval": 30.0,
    "settle": 120.0,
    "catch_up": 3,
}


@pytest.fixture(autouse=True)
def stored_at_once(monkeypatch):
    """Here no triggerer takes its time to store an event."""
    monkeypatch.setattr(error_count, "_STORED", 0.0)


class Store:
    """What Airflow gives the trigger of one asset: a place for JSON values."""

    def __init__(self, **values):
        self.values = values

    async def aget(self, key, default=None):
        return self.values.get(key, default)

    async def aset(self, key, value):
        self.values[key] = json.loads(json.dumps(value))


class BrokenStore(Store):
    """A store whose server does not answer."""

    async def aget(self, key, default=None):
        raise OSError("no API server")


def watcher(store=None, **changes):
    """A trigger that watches whole UTC days, so that a test does not meet the end of a window."""
    trigger = VectorShiftErrorCountTrigger(
        **(
            {"threshold": 20, "window": DAY, "query": WATCHED, "settle": 0, "interval": 0.05}
            | changes
        )
    )
    trigger.asset_state_store = store
    return trigger


def fired(trigger, looks=1):
    """The payloads that so many looks lead to."""

    async def each_look():
        source = type(trigger).open_shared_stream(trigger.serialize()[1])
        async with aclosing(source):
            for _ in range(looks):
                yield await anext(source)

    async def collect():
        return [event.payload async for event in trigger.filter_shared_stream(each_look())]

    return asyncio.run(collect())


def noon(days_ago=1):
    """Noon of a UTC day: yesterday's by default, which is the newest complete window."""
    return yesterday().start + timedelta(hours=12) - (days_ago - 1) * DAY


def test_a_burst_fires_once(emulator):
    """A breached window fires one event, however often it is looked at; it names everything."""
    emulator.burst(30, at=noon(), object_id="watched", error_message="quota exceeded")
    (payload,) = fired(watcher(), looks=3)
    day = yesterday()
    reason = f"In {day.label}, errors.sum is 30: past the ERROR limit of 20."
    dedup_key = payload.pop("dedup_key")
    assert dedup_key.endswith(f":{day.label}")
    assert payload == {
        "ok": False,
        "state": "breached",
        "severity": "ERROR",
        "observed": 30,
        "limit": 20.0,
        "sample": 30,
        "reason": reason,
        "window": day.to_dict(),
        "rule": Absolute(metric="errors.sum", error=20).to_dict(),
        "top_errors": [{"message": "quota exceeded", "count": 30}],
        "failed_events": 30,
        "message": f"{reason}\nMost frequent errors:\n30 x quota exceeded",
        "vectorshift_conn_id": "vectorshift_default",
    }
    assert emulator.counters()["requests"] == {"aggregations": 1, "tables": 1}


@pytest.mark.parametrize(
    "rule",
    [
        Absolute(metric="errors.sum", warn=5),
        Rate(error=0.3, minimum_sample=10),
        Change(metric="errors.sum", error=2.0),
        Baseline(metric="errors.sum", error=3.0, windows=7),
    ],
    ids=lambda rule: rule.name,
)
def test_it_judges_as_the_core_does(emulator, rule):
    """Whatever the rule, the event tells the verdict of the core on that window."""
    for days_ago in range(2, 9):
        emulator.burst(days_ago, at=noon(days_ago), object_id="watched")
    emulator.burst(30, at=noon(), object_id="watched")
    (payload,) = fired(watcher(rule=rule, threshold=None))
    with VectorShiftHook().get_conn() as client:
        expected = evaluate(rule, type(WATCHED).from_dict(WATCHED.to_dict(), client), yesterday())
    assert {name: payload[name] for name in expected.to_dict()} == expected.to_dict()


def test_nothing_fires_without_a_breach(emulator):
    """A window within its limits, and one with too little to judge, are silent; both count as judged."""
    emulator.burst(20, at=noon(), object_id="watched")
    store = Store()
    assert fired(watcher(store), looks=2) == []
    assert fired(watcher(store, rule=Rate(error=0.1, minimum_sample=21), threshold=None)) == []
    assert list(store.values.values()) == [yesterday().end.isoformat()] * 2


def test_a_restart_does_not_report_again(emulator):
    """With the asset's store a new trigger goes on where the last one stopped; without, it repeats."""
    emulator.burst(30, at=noon(), object_id="watched")
    store = Store()
    first, again = fired(watcher(store)), fired(watcher(store))
    assert (len(first), again) == (1, [])
    (without,) = fired(watcher())
    assert without["dedup_key"] == first[0]["dedup_key"]


def test_limits_of_one_asset_do_not_share_a_watermark(emulator):
    """Another limit on the same asset is another watch: it tells its own breach."""
    emulator.burst(30, at=noon(), object_id="watched")
    store = Store()
    assert [len(fired(watcher(store, threshold=limit))) for limit in (10, 20, 10)] == [1, 1, 0]


def test_missed_windows_are_caught_up(emulator, capsys):
    """After a pause the windows since then are judged in order, as many as `catch_up` says."""
    for days_ago in (5, 3, 1):
        emulator.burst(30, at=noon(days_ago), object_id="watched")
    store = Store()
    fired(watcher(store))
    (key,) = store.values
    store.values[key] = (yesterday().start - 5 * DAY).isoformat()
    reported = [each["window"]["start"] for each in fired(watcher(store, catch_up=5))]
    starts = [yesterday().start - days * DAY for days in (4, 2, 0)]
    assert reported == [start.strftime("%Y-%m-%dT00:00:00Z") for start in starts]

    store.values[key] = (yesterday().start - 5 * DAY).isoformat()
    assert len(fired(watcher(store, catch_up=2))) == 2
    assert "more than 2 windows ago" in capsys.readouterr().out


@pytest.mark.airflow33
def test_many_thresholds_one_request(emulator):
    """Twenty watchers of one query, in Airflow's own shared stream, cost one request and one more to explain."""
    from airflow.triggers.shared_stream import SharedStreamManager

    emulator.burst(30, at=noon(), object_id="watched", error_message="quota exceeded")
    watchers = [watcher(threshold=limit, interval=60) for limit in range(20, 39)]
    watchers.append(watcher(rule=Rate(error=0.5), threshold=None, interval=60))

    async def first_events():
        manager = SharedStreamManager()
        streams = [
            each.filter_shared_stream(
                manager.subscribe(trigger_id=number, trigger=each, key=each.shared_stream_key())
            )
            for number, each in enumerate(watchers)
        ]
        breached = [*streams[:10], streams[-1]]
        silent = [asyncio.create_task(anext(each)) for each in streams[10:-1]]
        try:
            return [(await anext(each)).payload["limit"] for each in breached]
        finally:
            for each in silent:
                each.cancel()
            await asyncio.gather(*silent, return_exceptions=True)
            await manager.stop_all()

    assert asyncio.run(first_events()) == [*map(float, range(20, 30)), 0.5]
    assert emulator.counters()["requests"] == {"aggregations": 1, "tables": 1}


def test_who_shares_a_poll():
    """Limits, rules and windows do not keep watchers apart; account, query and interval do."""
    together = [watcher(), watcher(threshold=3), watcher(rule=Rate(error=0.5), threshold=None)]
    together.append(watcher(window=3600))
    apart = [watcher(vectorshift_conn_id="vs"), watcher(query=None), watcher(interval=9)]
    assert len({each.shared_stream_key() for each in together}) == 1
    assert len({each.shared_stream_key() for each in [*apart, *together]}) == 4


def test_passing_errors_are_waited_out(emulator, connect, caplog):
    """An answer that may get better is logged, and the next look asks again."""
    connect(host=emulator.base_url, password=emulator.api_key, extra='{"retries": 0}')
    emulator.burst(30, at=noon(), object_id="watched")
    emulator.fault("aggregations", "status", code=503)
    with caplog.at_level(logging.WARNING):
        (payload,) = fired(watcher(), looks=2)
    assert payload["observed"] == 30
    assert "503" in caplog.text


def test_an_alert_is_not_held_back_by_its_messages(emulator, connect):
    """Where the error messages cannot be had, the event tells the breach without them."""
    connect(host=emulator.base_url, password=emulator.api_key, extra='{"retries": 0}')
    emulator.burst(30, at=noon(), object_id="watched")
    emulator.fault("tables", "status", code=503)
    (payload,) = fired(watcher())
    assert (payload["observed"], payload["top_errors"]) == (30, [])


@pytest.mark.parametrize("missing", [True, False])
def test_a_refusal_is_an_error_and_the_watch_goes_on(
    emulator, connect, monkeypatch, caplog, missing
):
    """A refused key and a missing connection are logged as errors without the key; later looks see the repair."""
    emulator.burst(30, at=noon(), object_id="watched")
    connect(host=emulator.base_url, password="sk_wrong_key")
    if missing:
        monkeypatch.delenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT")
    trigger = watcher()

    async def refused_then_repaired():
        refused = SharedPoll(VectorShiftHook("vectorshift_default").ashared, trigger.query)
        yield refused
        assert refused.pause == 300
        connect(host=emulator.base_url, password=emulator.api_key)
        yield SharedPoll(VectorShiftHook("vectorshift_default").ashared, trigger.query)

    async def collect():
        return [event async for event in trigger.filter_shared_stream(refused_then_repaired())]

    with caplog.at_level(logging.ERROR):
        assert len(asyncio.run(collect())) == 1
    assert ("vectorshift_default" if missing else "401") in caplog.text
    assert "sk_wrong_key" not in caplog.text


def test_the_service_says_how_long_to_wait(emulator, connect):
    """A `Retry-After` delays the next look, by an hour at most."""
    emulator.fault("aggregations", "status", code=429, retry_after="900")
    emulator.fault("aggregations", "status", code=429, retry_after="90000")

    async def pauses():
        result = []
        for _ in range(2):
            look = SharedPoll(VectorShiftHook("vectorshift_default").ashared, None)
            judging = Judging(Absolute(metric="errors.sum", error=1), [yesterday()])
            assert await look.figures(judging) is None
            result.append(look.pause)
        return result

    assert asyncio.run(pauses()) == [900, 3600]


def test_a_poll_that_is_over_is_skipped(emulator):
    """What a slow answer left behind in the queue costs no request."""
    trigger = watcher()

    async def stale():
        look = SharedPoll(VectorShiftHook("vectorshift_default").ashared, trigger.query)
        look.over = True
        yield look

    async def collect():
        return [event async for event in trigger.filter_shared_stream(stale())]

    assert asyncio.run(collect()) == []
    assert emulator.counters()["requests"] == {}


@pytest.mark.airflow33
def test_several_assets_fall_back_to_memory(emulator, caplog):
    """Airflow's store of a trigger that two assets share refuses; the trigger then remembers by itself."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    emulator.burst(30, at=noon(), object_id="watched")
    store = AssetStateStoreAccessors(inlets=[Asset("one"), Asset("two")])
    with caplog.at_level(logging.WARNING):
        assert len(fired(watcher(store), looks=3)) == 1
    assert "Several assets" in caplog.text


def test_a_store_that_fails_ends_nothing(emulator, capsys):
    """Where the watermark cannot be read, nothing is reported twice by mistake, and the watch goes on."""
    emulator.burst(30, at=noon(), object_id="watched")
    assert fired(watcher(BrokenStore()), looks=2) == []
    assert capsys.readouterr().out.count("the next one tries again") == 2


def test_it_runs_by_itself(emulator):
    """On an Airflow without shared streams the trigger has a poll of its own, and does not end."""
    emulator.burst(30, at=noon(), object_id="watched")

    async def run():
        async with aclosing(watcher().run()) as events:
            first = (await anext(events)).payload
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.3)
        return first

    assert asyncio.run(run())["observed"] == 30
    assert emulator.counters()["requests"]["aggregations"] == 1


def test_secrets_in_messages_are_blotted_out(emulator):
    """An error message that holds a key or a signed URL is reported without it, on one line, cut to size."""
    message = f"GET https://files/x?signature=abc failed\nfor sk_live_12345 {'x' * 999}"
    emulator.burst(30, at=noon(), object_id="watched", error_message=message)
    (payload,) = fired(watcher())
    ((reported,),) = [[each["message"] for each in payload["top_errors"]]]
    assert reported.startswith("GET https://files/x?*** failed for sk_*** xxx")
    assert len(reported) == 300
    assert "abc" not in str(payload)


@pytest.mark.parametrize(
    ("width", "settle", "start", "end"),
    [
        (3600, 60, "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"),
        (3600, 0, "2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"),
        (600, 60, "2026-11-23T11:40:00Z", "2026-11-23T11:50:00Z"),
        (86400, 0, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        (7 * 86400, 0, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        (0.5, 0, "2026-11-23T12:00:29.500000Z", "2026-11-23T12:00:30Z"),
    ],
)
def test_the_newest_window(width, settle, start, end):
    """Windows are those of the clock, and one is judged when it has ended and settled, not before."""
    now = datetime(2026, 11, 23, 12, 0, 30, 123_456, tzinfo=UTC)
    assert newest_window(now, width, settle).to_dict() == {"start": start, "end": end}


# --- how Airflow stores it ---


def test_serialize_is_init():
    """What Airflow stores of a trigger makes an equal one, with the same hash, and is plain JSON."""
    from airflow.models.trigger import Trigger

    trigger = VectorShiftErrorCountTrigger(**STATED)
    path, arguments = trigger.serialize()
    assert arguments == STATED == json.loads(json.dumps(STATED))
    decoded = given_to_trigger(Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments)))
    module, name = path.rsplit(".", 1)
    again = getattr(import_module(module), name)(**decoded)
    assert again.serialize() == trigger.serialize()
    assert trigger.hash(path, decoded) == trigger.hash(path, arguments)


def test_short_forms_are_stored_in_full():
    """A threshold, a Query, a rule and timedeltas are stored as JSON, and mean the same."""
    short = VectorShiftErrorCountTrigger(
        threshold=5, window=timedelta(hours=1), settle=timedelta(minutes=2), query=WATCHED
    )
    _, stored = short.serialize()
    assert json.loads(stored["rule"]) == Absolute(metric="errors.sum", error=5).to_dict()
    assert (stored["window"], stored["settle"]) == (3600.0, 120.0)
    assert json.loads(stored["query"]) == WATCHED.to_dict()
    assert VectorShiftErrorCountTrigger(**stored).serialize() == short.serialize()


def test_a_dag_with_a_watcher_serializes():
    """The DAG that the asset starts keeps the watcher through serialization."""
    from airflow.sdk import DAG, Asset, AssetWatcher

    trigger = VectorShiftErrorCountTrigger(**STATED)
    asset = Asset("errors", watchers=[AssetWatcher(name="watch", trigger=trigger)])
    with DAG(dag_id="d", schedule=[asset], start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        pass
    ((_, again),) = stored_and_read(dag).timetable.asset_condition.iter_assets()
    (result,) = again.watchers
    assert result.trigger["classpath"] == trigger.serialize()[0]
    assert given_to_trigger(result.trigger["kwargs"]) == STATED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": None}, "give either rule= or threshold="),
        ({"rule": Rate(error=0.1)}, "give either rule= or threshold="),
        ({"threshold": "many"}, "threshold= cannot .* error is a finite number"),
        ({"rule": {"rule": "rat"}, "threshold": None}, "rule= cannot .* Did you mean rate"),
        ({"window": 0}, "window= is a timedelta or a number of seconds above 0"),
        ({"settle": -1}, "settle= is a timedelta or a number of seconds of 0 or more"),
        ({"interval": "soon"}, "interval="),
        ({"catch_up": 1.5}, "catch_up= is a whole number"),
        (
            {"window": 600, "rule": Change(metric="errors.sum", error=1), "threshold": None},
            "window= cannot .* whole hours",
        ),
        ({"query": {"versio": 1}}, "query= cannot .* versio"),
        ({"query": "pl_1"}, "query= cannot .* is an object"),
        ({"vectorshift_conn_id": " "}, "vectorshift_conn_id= is the id"),
    ],
)
def test_bad_arguments(changes, words):
    """Arguments that cannot work are refused where the DAG is read, by the only error a triggerer survives."""
    with pytest.raises(TypeError, match=words) as caught:
        watcher(**changes)
    assert str(caught.value).startswith("VectorShiftErrorCountTrigger: ")
