"""What a client has found out about its service, and need not ask again for as long as it lives."""

from dataclasses import dataclass


@dataclass(slots=True)
class Habits:
    """Each is false or None until it is known.

    `counts_beyond_page`: a page's `total_records` was seen to be more than the page could know by itself.
    """

    counts_beyond_page: bool = False
