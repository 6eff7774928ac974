"""What a task publishes about its assets."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

_log = logging.getLogger(__name__)


def publish_to_assets(
    task: "BaseOperator", context: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    """Give the assets among the outlets, also those by reference, the result as their events' extra.

    An alias gets an event for the file that the result names in `uri`. Without a file its asset is
    unknown, so it gets no event, and a warning says so.
    """
    from airflow.sdk.definitions.asset import AssetRef

    for outlet in task.outlets:
        if isinstance(outlet, Asset | AssetRef):
            context["outlet_events"][outlet].extra.update(result)
        elif isinstance(outlet, AssetAlias):
            _publish_to_alias(outlet, context, result)


def _publish_to_alias(
    alias: AssetAlias, context: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    try:
        asset = Asset(uri=result["uri"])
    except (KeyError, TypeError, ValueError):  # no file, or an address that no asset can have
        _log.warning(
            "The alias %r among the outlets gets no event: the task wrote no file that names its asset. "
            "Give the asset itself as the outlet.",
            alias.name,
        )
        return
    context["outlet_events"][alias].add(asset, extra=dict(result))
