"""The zoo is whole: every class that a describer serves has a row; and the rows of the first families.

Families of text and of vision are in `test_text*.py` and `test_vision.py`; what each row has to hold is in `checks.py`.
"""

import importlib
import pkgutil
from collections.abc import Callable

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import describers
from sparsebench.models.anatomy import describe
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert

from . import checks, test_vision, text_families

Build = Callable[[str], nn.Module]
Example = Callable[..., Tensor]
Run = Callable[[nn.Module, Tensor], Tensor]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")
MIXTURES = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
CNN = "efficientnet"
MIXED = "is a mixture of experts already"
NO_FFN = "only gated and plain FFNs can be cut"
NO_TRANSFORMER = "has no transformer FFN"


@pytest.fixture(scope="module")
def zoo(build: Build) -> Callable[[str], nn.Module]:
    """`zoo("llama")`: in float64, with values in every parameter; "llama converted": a mixture of its neurons."""

    def make(name: str) -> nn.Module:
        family, _, converted = name.partition(" ")
        model = build(family).double()
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.1
        if hasattr(model, "set_experts_implementation"):
            model.set_experts_implementation("eager")
        if converted:
            convert(model, MoEConfig(num_experts=4, top_k=2, num_shared=1))
        return model.eval()

    return make


@pytest.fixture(scope="module")
def outputs(example: Example, run: Run) -> checks.Outputs:
    return lambda model: run(model, example(model))


def served() -> list[str]:
    """Full names of all classes that describers serve."""
    names: list[str] = []
    for info in pkgutil.iter_modules(describers.__path__):
        names += importlib.import_module(f"{describers.__name__}.{info.name}").SERVES
    return names


def rows() -> set[type[nn.Module]]:
    """The classes that have a row somewhere in the zoo."""
    found: set[type[nn.Module]] = set()
    for _, cls in text_families.rows(text_families.FAMILIES) + text_families.rows(text_families.MIXTURES):
        found.add(getattr(transformers, cls))
    for row in test_vision.ROWS.values():
        found.add(type(row.build()))
    return found


def test_every_class_that_a_describer_serves_has_a_row(build: Build) -> None:
    covered = rows() | {type(build(name)) for name in (*DENSE, *MIXTURES, CNN)}
    missing = []
    for name in served():
        module, _, cls = name.rpartition(".")
        base = getattr(importlib.import_module(module), cls)
        if not any(issubclass(found, base) for found in covered):
            missing.append(name)
    assert not missing, f"no row in tests/models/zoo builds a model of these classes: {missing}"


@pytest.mark.parametrize("name", [*DENSE, *MIXTURES, CNN, "llama converted"])
def test_conversion(name: str, zoo: Build, outputs: checks.Outputs) -> None:
    refusal = ""
    if name == CNN:
        refusal = NO_FFN
    elif name not in DENSE:
        refusal = MIXED
    checks.converts(zoo(name), outputs, refusal)


@pytest.mark.parametrize("name", [*DENSE, *MIXTURES, CNN, "llama converted", "bert converted"])
def test_adapters(name: str, zoo: Build, outputs: checks.Outputs) -> None:
    refusals = {}
    if name == CNN:
        refusals = dict.fromkeys(("bottleneck", "parallel"), NO_TRANSFORMER)
    checks.adapts(zoo(name), outputs, refusals)


@pytest.mark.parametrize("name", [*DENSE, *MIXTURES, CNN])
def test_counts(name: str, zoo: Build) -> None:
    model = zoo(name)
    idle = 0
    for module in model.modules():
        if type(module).__name__.endswith("Experts"):
            idle += checks.numel(module) // 2  # two of four work on a token
    assert bool(idle) == (name in MIXTURES)
    checks.counts(model, idle)


@pytest.mark.parametrize("name", [*MIXTURES, "llama converted", "bert converted", "vit converted"])
def test_probe(name: str, zoo: Build, outputs: checks.Outputs) -> None:
    model = zoo(name)
    tokens = 2 * 5 if name.startswith("vit") else 2 * 7
    checks.probes(model, outputs, tokens)


def test_what_is_left_of_each_family_when_parts_go(zoo: Build, outputs: checks.Outputs) -> None:
    """A block without its attention and its FFN is as good as none."""
    for name in (*DENSE, *MIXTURES, "llama converted"):
        model, shorter = zoo(name), zoo(name)
        block = describe(model).blocks[1]
        block.remove_attention()
        block.remove_mlp()
        describe(shorter).remove([1])
        torch.testing.assert_close(outputs(model), outputs(shorter), atol=1e-11, rtol=1e-10)
