"""`make environments` alone runs what takes a Python and an installation of its own."""

import os

collect_ignore = [] if "TEST_ENVIRONMENTS" in os.environ else ["test_desk.py"]
