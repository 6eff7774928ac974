"""What a check may be about."""

from typing import TypeAlias

import dagster as dg

CheckedAsset: TypeAlias = dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str
"""An asset as a definition, a spec, a key, or a text with slashes between the key's parts."""


def asset_key_of(asset: CheckedAsset) -> dg.AssetKey:
    """The key of what is checked; a text has slashes between its parts, as Dagster shows it.

    Raises `dg.DagsterInvalidDefinitionError` for a definition of several assets, and for what is no
    asset at all.
    """
    if isinstance(asset, str):
        return dg.AssetKey.from_user_string(asset)
    if not isinstance(asset, dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey):
        raise dg.DagsterInvalidDefinitionError(
            f"An asset is a definition, a spec, a key or a text, not {type(asset).__name__}."
        )
    if isinstance(asset, dg.AssetKey):
        return asset
    if isinstance(asset, dg.AssetsDefinition) and len(asset.keys) > 1:
        names = ", ".join(sorted(key.to_user_string() for key in asset.keys))
        raise dg.DagsterInvalidDefinitionError(
            f"A check is about one asset, and this definition has several: {names}. Give the one, as "
            "assets.get_asset_spec(dg.AssetKey(...))."
        )
    return asset.key


def partitions_def_of(asset: CheckedAsset) -> dg.PartitionsDefinition[str] | None:
    """The asset's own partitions, where the definition was given."""
    return asset.partitions_def if isinstance(asset, dg.AssetsDefinition | dg.AssetSpec) else None
