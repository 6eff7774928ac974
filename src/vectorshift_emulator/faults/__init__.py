"""Faults: which are on, what each does to a reply, and the sockets behind the requests."""
