"""A lake by one text, as an operator's argument or a setting has it: `delta:FOLDER` or `iceberg:CATALOG`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import StorageError

if TYPE_CHECKING:
    from vectorshift_orchestration.storage.lakes import Lake


def check_lake(text: str) -> tuple[str, str]:
    """The kind and the place. Raises `StorageError` for what is neither."""
    kind, _, place = text.partition(":")
    if kind not in ("delta", "iceberg") or not place.strip():
        raise StorageError(
            f"{text!r} is not a lake. Give delta:FOLDER, a path or a URI, or iceberg:CATALOG, the name "
            "of a catalog in pyiceberg's configuration."
        )
    if kind == "delta" and "@" in place.partition("://")[2].partition("/")[0]:
        raise StorageError(
            "A Delta folder takes its credentials from the environment, as delta-rs finds them, and not "
            "out of its address. Leave out what stands before the @."
        )
    return kind, place


def lake_of(text: str) -> Lake:
    """The lake, opened, for the caller to close. Raises as `check_lake`, and `StorageError` for a library or a catalog that is missing."""
    kind, place = check_lake(text)
    try:
        if kind == "delta":
            from vectorshift_orchestration.storage.delta import DeltaLake

            return DeltaLake(place)
        from pyiceberg.catalog import load_catalog
        from pyiceberg.utils.config import Config

        from vectorshift_orchestration.storage.iceberg import IcebergLake
    except ImportError as problem:
        raise StorageError(
            f'Lake {text!r} needs pip install "vectorshift-orchestration[{kind}]" ({problem}).'
        ) from problem
    try:
        # Read anew: the library keeps what the environment was when it was imported.
        return IcebergLake(load_catalog(place, **(Config().get_catalog_config(place) or {})))
    except Exception as problem:  # of the catalog's own library
        raise StorageError(
            f"Iceberg catalog {place!r} cannot be opened: {problem}. It is described in "
            f"~/.pyiceberg.yaml, or by PYICEBERG_CATALOG__{place.upper()}__URI and the like."
        ) from problem
