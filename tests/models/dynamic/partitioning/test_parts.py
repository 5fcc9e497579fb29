"""What of a model can be partitioned, and refusals that say what is there instead."""

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.dynamic.conversion import make_dynamic
from sparsebench.models.dynamic.convolution import ConvConfig, FrequencyConfig, WarehouseConfig
from sparsebench.models.dynamic.convolution.dy_conv import DyConv2d
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import (
    Attentions,
    Kernels,
    attention_vectors,
    check_of,
    dynamic_layers,
    find_parts,
    parts_of,
)
from sparsebench.models.errors import ModelError

from .toy import FACTORS, od_toy, toy


def test_kernels_attentions_and_both():
    model = od_toy()
    assert list(attention_vectors(model)) == list(FACTORS) and list(dynamic_layers(model)) == ["0", "2"]
    (kernels,) = find_parts(model, "kernels")
    (attentions,) = find_parts(model, "attentions")
    both = find_parts(model, "both")
    assert isinstance(kernels, Kernels) and isinstance(attentions, Attentions)
    assert list(parts_of(both)) == ["0", "2", *FACTORS]
    assert {name: vector.weight_shape.numel() for name, vector in attentions.named.items()} == FACTORS


def test_constants_start_as_the_attention_is_at_its_temperature():
    model = od_toy()
    (attentions,) = find_parts(model, "attentions")
    for name, vector in attention_vectors(model).items():
        torch.testing.assert_close(attentions.start(name), torch.sigmoid(vector.fc.bias.detach() / 2.0))
    (kernels,) = find_parts(model, "kernels")
    assert kernels.start("0") is None, "the layer's own choice"


def test_a_model_without_odconv_is_refused_with_what_it_has():
    with pytest.raises(ModelError, match=r"its 2 dynamic layers are ToyDynamic\. Take of='kernels'"):
        find_parts(toy(), "attentions")
    mixed = nn.ModuleList([toy(), DyConv2d.of(nn.Conv2d(3, 3, 1), ConvConfig(), torch.Generator())])
    with pytest.raises(ModelError, match="3 dynamic layers are DyConv2d, ToyDynamic"):
        find_parts(mixed, "both")
    with pytest.raises(ModelError, match="no dynamic layer: make_dynamic"):
        find_parts(nn.Linear(2, 2), "attentions")


def test_each_kind_has_to_be_dynamic_as_a_whole_where_it_is_asked_for():
    model = od_toy()
    model[0].set_partition(torch.rand(6, 4, 3, 3) < 0.5)
    assert find_parts(model, "attentions")
    with pytest.raises(ModelError, match=r"^0 is partitioned already"):
        find_parts(model, "both")
    model = od_toy()
    model[0].attention.taps.set_partition(torch.arange(9) < 3)
    assert find_parts(model, "kernels")
    with pytest.raises(ModelError, match=r"0\.attention\.taps is partitioned already, 0.333"):
        find_parts(model, "attentions")
    model[0].attention.taps.take_compact_form()
    with pytest.raises(ModelError, match="taps has its compact form"):
        find_parts(model, "attentions")


def test_what_attentions_cannot_have():
    for of in ("attentions", "both"):
        with pytest.raises(ModelError, match="there is none of attentions"):
            check_of(of, "random")
        check_of(of)
    check_of("kernels", "random")
    with pytest.raises(ModelError, match="did you mean 'attentions'"):
        check_of("attention")


@pytest.mark.parametrize(
    ("config", "kind"), [(FrequencyConfig(groups=4), "FDConv2d"), (WarehouseConfig(), "Warehouse")]
)
def test_dynamic_layers_that_can_have_no_partition_are_said_with_those_that_can(config, kind):
    model = make_dynamic(timm.create_model("test_resnet"), config)
    for step in (partition, compact):
        with pytest.raises(ModelError, match=rf"all of them {kind}.*no partition and no compact form.*DY-Conv"):
            step(model)
