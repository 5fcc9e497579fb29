"""Random weights of GraphsGPT: decided by the generator, and by nothing else."""

import torch

from sparsebench.suites.molecules.random_weights import random_encoder, random_model, tiny_config


def weights(seed: int, *, encoder: bool) -> torch.Tensor:
    make = random_encoder if encoder else random_model
    model = make(tiny_config(), torch.Generator().manual_seed(seed))
    return torch.cat([weight.flatten() for weight in model.parameters()])


def test_the_generator_decides() -> None:
    torch.manual_seed(1)
    first = weights(0, encoder=False)
    torch.manual_seed(2)
    assert torch.equal(first, weights(0, encoder=False)) and not torch.equal(first, weights(1, encoder=False))
    assert not torch.equal(weights(0, encoder=True), weights(1, encoder=True))


def test_the_configuration_stays_and_the_model_is_in_eval_mode() -> None:
    config = tiny_config(properties={"logp": (2.5, 1.0)})
    before = config.to_dict()
    model = random_model(config, torch.Generator().manual_seed(0))
    assert config.to_dict() == before and not model.training
    assert list(model.config.property_names) == ["logp"]
