"""What the assets of one export do: ask, wait, land, and keep a record of how far they got."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import dagster as dg

from dagster_vectorshift._partitions import edges_of
from dagster_vectorshift.exports._options import ExportOptions
from dagster_vectorshift.exports._records import InstanceRecord
from dagster_vectorshift.translator import COLUMN_SCHEMA, ExportProps, place_of, table_schema
from vectorshift_orchestration.columns import EVENT_COLUMNS
from vectorshift_orchestration.specs.scopes import scoped
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from dagster_vectorshift.resource import VectorShiftResource
    from dagster_vectorshift.storage._protocol import ExportStorage
    from vectorshift_orchestration.exports.job import ExportJob


@dataclass(frozen=True)
class Export:
    """What the assets of one export share."""

    spec: dg.AssetSpec
    options: ExportOptions

    @classmethod
    def of(cls, options: ExportOptions) -> Self:
        """The export that the options describe."""
        props = ExportProps(
            options.name,
            options.query,
            options.format,
            options.description,
            options.table,
            options.storage,
            options.partitions_def,
        )
        return cls(options.spec(props), options)

    @property
    def table(self) -> str:
        """The table, or the folder of files, in the storage."""
        return self.options.table or self.options.name

    def landed(
        self, context: dg.AssetExecutionContext, partition: str, window: Window
    ) -> dict[str, Any]:
        """Bring the export of a partition to its end; metadata of it."""
        done = self.job(context, partition, window).finish()
        metadata = {
            "dagster/partition_row_count": done.rows,
            "dagster/uri": done.uri or self._storage(context).locate(self.table, window),
            "vectorshift/rows_replaced": done.deleted,
            "vectorshift/characters_replaced": done.replaced,
            "vectorshift/bytes": done.bytes,
            "vectorshift/sha256": done.sha256,
            "vectorshift/verified_by": done.verified,
            "vectorshift/task_id": done.task_id,
            "vectorshift/recreated": done.recreated,
            **edges_of(window),
        }
        return {name: value for name, value in metadata.items() if value is not None}

    def about(self, context: dg.AssetExecutionContext) -> dict[str, Any]:
        """Metadata of the table: its name, place and columns."""
        storage, ui_url = self._storage(context), self._account(context).ui_url
        return {
            **place_of(storage, self.table),
            "dagster/uri": storage.locate(self.table),
            COLUMN_SCHEMA: table_schema(EVENT_COLUMNS),
            **({} if ui_url is None else {"vectorshift/ui": dg.MetadataValue.url(ui_url)}),
        }

    def job(self, context: dg.AssetExecutionContext, partition: str, window: Window) -> "ExportJob":
        """The export of a partition, as far as it has got."""
        from vectorshift_orchestration.exports.job import ExportJob
        from vectorshift_orchestration.exports.request import ExportRequest
        from vectorshift_orchestration.exports.staging import working_folder

        client, options = self._account(context).get_client(), self.options.job
        query = scoped(client, self.options.query).to_dict()
        request = ExportRequest(query, window, options.format, self.options.account_name)
        landing = self._storage(context).landing(self.table, window, options.format)
        return ExportJob(
            client,
            request,
            self.options.placed(landing),
            InstanceRecord(context, self.spec.key, partition, request.key),
            directory=working_folder(self.options.work_dir),
            options=options,
        )

    def _account(self, context: dg.AssetExecutionContext) -> "VectorShiftResource":
        return cast("VectorShiftResource", getattr(context.resources, self.options.resource_key))

    def _storage(self, context: dg.AssetExecutionContext) -> "ExportStorage":
        return cast("ExportStorage", getattr(context.resources, self.options.storage_key))
