"""A share of `endurance.py`: what a process holds does not grow, and exports at once are made once."""

from tests.reliability import endurance


def test_calls_and_failed_downloads_leave_nothing_open():
    """As many files, sockets and threads after all of them as after the first tenth."""
    for early, late in endurance.held_after(300, 60):
        assert late.files <= early.files
        assert late.threads <= early.threads


def test_exports_at_once_are_each_made_once():
    """Each tenth request is refused; it is sent again, and asks for no second export."""
    spent = endurance.exports_at_once(20)
    assert spent.refused == spent.requests // endurance.TENTH >= 60 // endurance.TENTH
    assert spent.made == 20
