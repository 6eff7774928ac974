"""Workers as on machines of their own: the same paths, and other files behind them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from tests.processes import Component


def within(own: Path, seen_as: Path) -> list[str]:
    """A command that starts the one behind it where the folder `seen_as` is `own`.

    Only that process and those that it starts see it so: Linux gives them a mount namespace.
    """
    for folder in (own, seen_as):
        folder.mkdir(parents=True, exist_ok=True)
    mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return [
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("sh", "-c", mount, "machine", str(own), str(seen_as)),
    ]


class Memory:
    """The most that components held at a time.

    Args:
        components: what is looked at; one that is added later is looked at from then on.
    """

    def __init__(self, components: Mapping[str, Component]) -> None:
        self.peaks: dict[str, int] = {}
        """MiB by component."""
        self._components = components
        self._stop = Event()

    @contextmanager
    def watching(self, every: float = 5.0) -> Iterator[None]:
        """Look every so many seconds as long as the block runs."""
        thread = Thread(target=self._watch, args=(every,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self, every: float) -> None:
        while not self._stop.wait(every):
            for name, component in list(self._components.items()):
                self.peaks[name] = max(self.peaks.get(name, 0), component.memory())
