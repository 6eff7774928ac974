"""Where tables are kept: resources that replace windows of a table and take exports in.

    DuckDBStorage    one file; writers of one file belong in one pool
    PostgresStorage  a database, by a connection URL that stays secret
    ParquetStorage   one Parquet file for each partition, on a disk or in an object store
    FileStorage      exports as the files they are
    DeltaStorage     Delta Lake tables below a folder
    IcebergStorage   Iceberg tables of a catalog

Any of them is the `storage` resource of an asset. Assets with `io_manager_key` need none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster_vectorshift.storage._databases import (
        DuckDBStorage as DuckDBStorage,
        PostgresStorage as PostgresStorage,
    )
    from dagster_vectorshift.storage._files import (
        FileStorage as FileStorage,
        ParquetStorage as ParquetStorage,
    )
    from dagster_vectorshift.storage._lakes import (
        DeltaStorage as DeltaStorage,
        IcebergStorage as IcebergStorage,
    )
    from dagster_vectorshift.storage._protocol import (
        ExportStorage as ExportStorage,
        TableStorage as TableStorage,
    )
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "_databases": "DuckDBStorage PostgresStorage",
            "_files": "FileStorage ParquetStorage",
            "_lakes": "DeltaStorage IcebergStorage",
            "_protocol": "ExportStorage TableStorage",
        },
    )
