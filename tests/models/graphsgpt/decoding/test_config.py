"""Ways of decoding that cannot work, alone or with a model, are refused."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..model_cases import noise, small


@pytest.mark.parametrize("choice", [{"rules": "flexible"}, {"valence_check": True}, {"fix_aromatic": True}])
def test_published_choices_are_refused_where_they_mean_nothing(choice: dict[str, object]) -> None:
    name = next(iter(choice))
    with pytest.raises(ModelError, match=rf"{name}=.*constrained=False"):
        DecodingConfig(**choice)
    with pytest.raises(ModelError, match=rf"{name}=.*improved mode"):
        decode(small(), torch.zeros(1, 3, 32), config=DecodingConfig(constrained=False, **choice))


def test_unknown_rules() -> None:
    with pytest.raises(ModelError, match="rules"):
        DecodingConfig(constrained=False, rules="lenient")


def test_refusals() -> None:
    with pytest.raises(ModelError, match="predict_atoms=False does not go with"):
        decode(small(predict_atoms=False), noise(1))
    with pytest.raises(ModelError, match="is not that of a model"):
        decode(small(), noise(1), Vocabulary.improved())
    nameless = small()
    nameless.config.vocabulary = None
    with pytest.raises(ModelError, match="no vocabulary"):
        decode(nameless, noise(1))
    with pytest.raises(ModelError, match=r"not \(molecules"):
        decode(small(), noise(1, words=4))


@pytest.mark.parametrize(
    "fields",
    [{"temperature": -0.1}, {"top_k": 0}, {"max_atoms": 0}, {"max_edges": 0}],
)
def test_numbers_that_cannot_work(fields: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="must not be negative, limits and top_k at least 1"):
        DecodingConfig(**fields)


@pytest.mark.parametrize("fields", [{"redraws": -1, "temperature": 1.0}, {"redraws": 2}])
def test_drawing_again_needs_something_to_draw(fields: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="must be 0 or more, and 0 at temperature 0"):
        DecodingConfig(**fields)


def test_what_repairs() -> None:
    assert DecodingConfig().repairs and DecodingConfig(constrained=False, rules="flexible").repairs
    assert not DecodingConfig(constrained=False).repairs
    chosen = DecodingConfig(constrained=False, rules="flexible", fix_aromatic=True).faithful_choices
    assert chosen == "rules='flexible', fix_aromatic=True" and DecodingConfig().faithful_choices == ""
