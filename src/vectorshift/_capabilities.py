"""What a client has learned about its service, and keeps for as long as it lives."""

from dataclasses import dataclass

from vectorshift._settings import TimePrecision


@dataclass(slots=True)
class Capabilities:
    """Each is false or None until it is known.

    `counts_beyond_page`: a page's `total_records` was seen to be more than the page could know by itself.
    `time_precision`: how finely times are compared; `is_measuring_time` while a call probes it.
    """

    counts_beyond_page: bool = False
    time_precision: TimePrecision | None = None
    is_measuring_time: bool = False
