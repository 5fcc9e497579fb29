"""Neural modules and transforms of whole models. Knows no data set, no suite and no result format."""

from .hub.registration import announce

# Whoever imports a room can open its models with the Auto classes of transformers.
announce("sparsebench", f"{__name__}.hub.auto_classes:changed_config")
