"""Configurations: what older versions wrote still loads, and what cannot work is refused."""

import json
from pathlib import Path

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig, own_vocabulary
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.suites.molecules.graphsgpt_small import FOLDER, small_config

from ..model_cases import VOCABULARY, small


@pytest.mark.parametrize("chained", [True, False])
def test_a_configuration_with_the_old_name_of_autoregressive_heads(chained: bool, tmp_path: Path) -> None:
    model = small(autoregressive_heads=chained)
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    written = json.loads(file.read_text())
    assert written.pop("autoregressive_heads") == chained and "chained_heads" not in written
    file.write_text(json.dumps(written | {"chained_heads": chained}))
    for config in (GraphsGPTConfig.from_pretrained(tmp_path), GraphsGPTConfig.from_json_file(file)):
        assert config.autoregressive_heads == chained
        assert "chained_heads" not in config.to_dict()
    back = GraphsGPT.from_pretrained(tmp_path)
    assert (back.heads.chain is not None) == chained
    names = set(model.state_dict())
    assert set(back.state_dict()) == names and any(name.startswith("heads.chain.") for name in names) == chained


def test_the_old_name_of_the_property_encoding() -> None:
    config = GraphsGPTConfig.from_dict({"property_encoding": "published", "properties": {"logp": (2.0, 1.0)}})
    assert config.property_encoding == "faithful"


def test_the_packaged_configuration_names_what_it_holds() -> None:
    written = json.loads((FOLDER / "config.json").read_text())
    config = small_config()
    assert written["autoregressive_heads"] is True and config.autoregressive_heads
    assert config.property_names == ("logp", "mw", "qed", "sa")
    assert own_vocabulary(config).mode == "improved"


def test_sizes_follow_the_vocabulary() -> None:
    config = GraphsGPTConfig.of(VOCABULARY, seed=3)
    assert (config.num_atoms, config.num_bonds, config.seed) == (len(VOCABULARY.nodes), len(VOCABULARY.edges), 3)
    assert config.vocab_size == VOCABULARY.size and own_vocabulary(config) == VOCABULARY
    assert config.initializer_range == pytest.approx((2 / (512 + 2048)) ** 0.5)


def test_the_faithful_choices() -> None:
    config = GraphsGPTConfig.faithful(4, hidden_size=64)
    assert (config.num_words, config.hidden_size, config.connection_loss) == (4, 64, "contrastive")
    assert not config.predict_atoms and config.encoder_ids == "random"


def test_a_model_without_a_vocabulary_says_so() -> None:
    with pytest.raises(ModelError, match="has no vocabulary"):
        own_vocabulary(GraphsGPTConfig())
