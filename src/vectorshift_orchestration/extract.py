"""A query and a window, asked of the service, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import Query


def aggregate(query: Query, window: Window, spec: AggregationSpec) -> pa.Table:
    """Measure `spec` over the window's events, in one request, as `aggregation_table` shapes it.

    A window of several partitions sliced by time gives all of them at once. Raises `WindowError`
    when the window cuts a time bucket: the service would then report a part of it as the whole.
    Raises `AggregationShapeError` and the SDK's errors.
    """
    from vectorshift_orchestration.tables import aggregation_table

    if spec.interval is not None and not window.is_aligned(spec.interval):
        raise WindowError(
            f"Window {window.label} does not begin and end with a whole {spec.interval} in UTC, so "
            "its first or last bucket would be a part. Align it, or slice by a smaller interval."
        )
    result = window.bound(query).raw_aggregate(
        spec.operations(), group_by=spec.dimensions(), interval=spec.bucket_width()
    )
    return aggregation_table(result, spec, window)
