"""What is watched without runs: failed checks, and failed runs of the service."""
