"""The link from a task to the export that it requested.

VectorShift has no page for an export, so the link leads to its resource in the API; reading it takes
the account's key. The signed address of the file is never in a link.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from vectorshift_orchestration.addresses import export_url

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class VectorShiftExportLink(BaseOperatorLink):
    """Shows the export of a task as soon as it was requested."""

    name = "VectorShift export"
    xcom_key = "vectorshift_export_link"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """The export's address; empty for a task without one."""
        return str(getattr(operator, "export_url", ""))


def show(task: Any, context: Mapping[str, Any], base_url: str, export_id: str) -> None:
    """Make a task's link lead to an export, from now on and not only when the task has ended."""
    task.export_url = export_url(base_url, export_id)
    if (instance := context.get("ti")) is not None:
        instance.xcom_push(key=VectorShiftExportLink.xcom_key, value=task.export_url)
