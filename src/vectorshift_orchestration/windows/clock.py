"""Which windows to judge, by the clock.

Events arrive late, so nothing is judged before it has settled: `settle` says for how long events of
a window may still come in.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import TICK

_HALF_DAY = timedelta(hours=12)
_MOMENT = timedelta(seconds=1)


def trailing_window(now: datetime, width: float, settle: float) -> Window:
    """The window of `width` seconds that ended `settle` seconds ago."""
    end = on_the_clock(now - timedelta(seconds=settle))
    return Window(end - timedelta(seconds=width), end)


def newest_window(now: datetime, width: float, settle: float) -> Window:
    """The last window of a fixed grid that is complete and has settled, both in seconds.

    The grid begins on a Monday, 00:00 UTC, so windows of an hour or a day are those of the clock.
    """
    moment = on_the_clock(now - timedelta(seconds=settle))
    (newest,) = Window(moment, moment + TICK).align(timedelta(seconds=width)).earlier(1)
    return newest


def due_windows(newest: "Window", until: datetime | None, most: int) -> list[Window]:
    """The windows to judge, oldest first, when all up to `until` have been.

    Those of the grid since then, at most `most` before the newest; the newest alone when nothing
    was ever judged.
    """
    if until is None:
        return [newest]
    return [window for window in [*newest.earlier(most), newest] if window.start >= until]


def between(start: datetime | str, end: datetime | str) -> Window:
    """`Window.parse` of ends that may be finer than the service's clock.

    Each is cut in the same way, so that neighbours share an edge. Raises as `Window.parse`.
    """
    return Window.parse(_cut(start), _cut(end))


def _cut(end: datetime | str) -> datetime | str:
    """The end, cut to milliseconds; a text that is not a time is left for `Window` to refuse."""
    if isinstance(end, str):
        try:
            end = datetime.fromisoformat(end.strip())
        except ValueError:
            return end
    return on_the_clock(end)


def on_the_clock(instant: datetime) -> datetime:
    """The instant, cut to the service's resolution, a millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def has_settled(
    end: datetime, now: datetime, settle: timedelta, zone: tzinfo, *, daily: bool
) -> bool:
    """Whether a window that ended at `end` has settled by `now`.

    Instants are compared, not clocks. But who looks by the clocks of a zone, at most once a day
    (`daily`), comes up to two hours early in the night in which the clocks go forward, so there the
    date decides.
    """
    end, now = end.astimezone(UTC), now.astimezone(UTC)
    # Just before the end: the clocks may go forward at the very midnight.
    offsets = {each.astimezone(zone).utcoffset() for each in (end - _MOMENT, now + _HALF_DAY)}
    if daily and len(offsets) > 1:
        due = end.astimezone(zone).replace(tzinfo=None) + settle
        return due.date() <= now.astimezone(zone).date()
    return end + settle <= now
