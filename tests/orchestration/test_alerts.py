"""Alerts are sent once, in order, within a time, and none keeps back the others."""

from datetime import UTC, datetime, timedelta

import pytest

from vectorshift_orchestration.thresholds.alerts import Alert, deliver

NIGHT = datetime(2026, 11, 22, tzinfo=UTC)
ALERTS = [Alert("a", "rate", None, "WARN", NIGHT + timedelta(hours=hour)) for hour in range(3)]


class Receipts:
    """Receipts in memory; a check passes when it is said to."""

    def __init__(self):
        self.written, self.passes = [], False

    def sent(self, alert):
        return [each.evaluated_at for each in self.written]

    def passed(self, alert, since):
        return self.passes

    def write(self, alert):
        self.written.append(alert)


@pytest.fixture
def receipts():
    return Receipts()


def test_trouble_that_goes_on_is_reported_once(receipts):
    """What was reported, and what only goes on, is not sent; after a pass the next failure is."""
    sent = []
    assert deliver(ALERTS[:2], sent.append, receipts, seconds=60) == (1, None)
    assert deliver(ALERTS[:2], sent.append, receipts, seconds=60) == (0, None)
    receipts.passes = True
    assert deliver(ALERTS, sent.append, receipts, seconds=60) == (2, None)
    assert sent == ALERTS


@pytest.mark.parametrize("fail", [lambda: 1 / 0, lambda: False], ids=["an error", "a false result"])
def test_an_alert_that_cannot_be_sent_keeps_back_no_other(receipts, fail):
    """It has no receipt, the others have, and its error is raised in the end; false is an error."""
    receipts.passes = True
    with pytest.raises(ExceptionGroup, match="1 alerts could not be sent, 2 were"):
        deliver(ALERTS, lambda alert: fail() if alert == ALERTS[1] else None, receipts, seconds=60)
    assert receipts.written == [ALERTS[0], ALERTS[2]]


def test_when_the_time_is_over_the_rest_is_left(receipts):
    """At least one is sent, and it is reported from when on nothing was seen to."""
    receipts.passes = True
    assert deliver(ALERTS, print, receipts, seconds=-1) == (1, ALERTS[1].evaluated_at)
    assert receipts.written == ALERTS[:1]
