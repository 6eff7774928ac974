"""Rows in a storage, as an asset of health puts them there."""


def write(storage, table, window, rows):
    """What came of writing the rows of one window."""
    landing = storage.landing(table, window, "PARQUET")
    return landing.write_rows({window: rows}, time_column="bucket_start")[window]
