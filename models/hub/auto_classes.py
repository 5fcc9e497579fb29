"""Changed models and the Auto classes of transformers: `AutoConfig` reads their files, `AutoModelFor...` makes them."""

from __future__ import annotations

import functools
from typing import Any

from ..errors import ModelError
from .configs import ChangedConfig, recast, source_fields
from .derived_classes import derive
from .models import changed_class
from .rooms import class_of, room_of


def changed(config: Any) -> Any:
    """A copy of a configuration of transformers, of the class for changed models, with no part yet."""
    source = type(config)
    made = recast(config, changed_config_class(source))
    named = {"model_type": source.model_type, "class": source.__name__, "room": room_of(source)}
    made.sparsebench = {"source": named, "parts": {}, "buffers": {}}
    return made


def changed_config(**fields: Any) -> Any:
    """The configuration that a `config.json` of ours holds. Raises `ModelError` for one that is not whole."""
    try:
        source = fields["sparsebench"]["source"]
        cls = _source_class(**source)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the configuration does not say which model was changed ({error!r})") from error
    return changed_config_class(cls)(**source_fields(fields))


@functools.cache
def changed_config_class(source: type) -> Any:
    """The class for changed models of one configuration class, known to the Auto classes that know that one."""
    from transformers.models.auto import modeling_auto

    made = derive(ChangedConfig, source)
    for auto in vars(modeling_auto).values():
        mapping = getattr(auto, "_model_mapping", None)
        if mapping is None:
            continue
        found = mapping.get(source, None)
        if isinstance(found, tuple | list):
            mapping.register(made, tuple(map(changed_class, found)), exist_ok=True)
        elif found is not None:
            mapping.register(made, changed_class(found), exist_ok=True)
    return made


def _source_class(**source: Any) -> Any:
    from transformers import CONFIG_MAPPING

    name = source["class"]
    room = source["room"]
    if room is None:
        if source["model_type"] not in CONFIG_MAPPING:
            raise ModelError(f"the installed transformers has no {source['model_type']!r} models, of which this is one")
        return CONFIG_MAPPING[source["model_type"]]
    found = class_of(room, name)
    if found is None:
        raise ModelError(f"this version has no {name} in models/{room}: update sparsebench")
    return found
