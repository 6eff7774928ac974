"""rate_limit: turns in order, for everybody who shares a client, within the total time."""

import asyncio
import math
import threading
import time

import pytest

from tests.sdk.scripted import Answer, in_turn
from vectorshift import ApiTimeoutError, Client, ConfigurationError, Retry
from vectorshift._calls import Call, Pause, Persistence, Reply, with_retries
from vectorshift._pace import Pace
from vectorshift._retry import Quota
from vectorshift.analytics import _flows as flows

COUNT = {"status": "success", "count": 1}


def test_turns_are_even_and_in_order():
    """Whoever comes at once gets turns an interval apart; a quiet time is not saved up."""
    pace = Pace(4)
    assert [pace.take(10.0) for _ in range(3)] == [10.0, 10.25, 10.5]
    assert pace.take(10.6) == 10.75
    assert [pace.take(99.0) for _ in range(2)] == [99.0, 99.25]


def test_a_turn_that_was_given_back_is_taken_first():
    """Turns of the cancelled go to the next who come, the earliest first; those of the past are gone."""
    pace = Pace(1)
    turns = [pace.take(0.0) for _ in range(5)]
    for turn in (turns[3], turns[1], turns[2]):
        pace.give_back(turn)
    assert [pace.take(1.5) for _ in range(4)] == [2.0, 3.0, 5.0, 6.0]


def test_no_limit_means_no_wait():
    """Without a limit every turn is now."""
    pace = Pace(math.inf)
    assert [pace.take(3.0) for _ in range(3)] == [3.0] * 3


class Talk:
    """One call, stepped by hand on a clock of its own."""

    def __init__(self, how):
        self.flow = with_retries(flows.export_task("ex_1"), how)
        self.step = next(self.flow)

    def go(self, outcome):
        self.step = self.flow.send(outcome)


def persistence(per_second, total=300.0):
    """A client's settings with a limit, for calls stepped by hand."""
    return Persistence(Retry(first_wait=0.0), Quota(), Pace(per_second), total)


def test_one_that_is_cancelled_does_not_hold_up_the_others():
    """A call that ends while it waits gives its turn to whoever comes next."""
    how = persistence(1)
    talks = [Talk(how) for _ in range(50)]
    for talk in talks:
        talk.go(7.0)
    assert isinstance(talks[0].step, Call)
    assert [talk.step for talk in talks[1:]] == [Pause(float(n)) for n in range(1, 50)]
    for talk in talks[1:]:
        talk.flow.close()
    late = Talk(how)
    late.go(7.5)
    assert late.step == Pause(0.5)


def test_retries_wait_for_their_turn_too():
    """A retry is a request like any other: first its own wait, then its turn."""
    talk = Talk(persistence(0.5))
    talk.go(0.0)
    talk.go(Reply(503, now=0.1))
    assert talk.step == Pause(0.0)
    talk.go(0.5)
    assert talk.step == Pause(1.5)
    talk.go(2.0)
    assert isinstance(talk.step, Call)
    assert talk.step.budget == 298.0


def test_a_call_without_a_turn_in_its_time_ends_at_once():
    """Waiting for a turn counts in the total time; who cannot get one gets an error, and leaves the turn."""
    how = persistence(1, total=1.5)
    talks = [Talk(how) for _ in range(3)]
    for talk in talks[:2]:
        talk.go(0.0)
    with pytest.raises(ApiTimeoutError, match=r"rate limit .* did not arrive"):
        talks[2].go(0.0)
    late = Talk(how)
    late.go(1.0)
    assert late.step == Pause(1.0)


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_everybody_who_shares_a_client_shares_its_limit(service, how):
    """Threads, and the tasks of an event loop, send no faster together than the limit, retries included."""
    service.script = in_turn(Answer({}, 503), Answer({}, 503), COUNT)
    retry = Retry(first_wait=0.0)
    with Client("sk_x", service.base_url, retry=retry, rate_limit=100) as client:

        async def tasks():
            await asyncio.gather(*(client.query().acount() for _ in range(10)))

        began = time.monotonic()
        if how == "tasks":
            asyncio.run(tasks())
        else:
            threads = [threading.Thread(target=client.query().count) for _ in range(10)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
    # Only a lower bound: being slow is not a mistake.
    assert len(service.requests) == 12
    assert time.monotonic() - began >= 0.11


def test_a_task_that_is_cancelled_while_it_waits_stops_at_once(service):
    """Cancelling a waiting call sends nothing for it, and the next one is not held up."""
    service.script = in_turn(COUNT)

    async def talk():
        async with Client("sk_x", service.base_url, rate_limit=0.01) as client:
            await client.query().acount()
            waiting = asyncio.ensure_future(client.query().acount())
            for _ in range(3):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return waiting.cancelled()

    assert asyncio.run(talk())
    assert len(service.requests) == 1


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, "5", True])
def test_a_senseless_limit_is_refused(rate):
    """A limit is a finite number above 0."""
    with pytest.raises(ConfigurationError, match="requests per second above 0"):
        Client("sk_x", rate_limit=rate)
