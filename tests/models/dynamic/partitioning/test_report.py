"""The report counts what the deployed form stores."""

import pytest

from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.report import AttentionModes, LayerModes, PartitionReport

from .toy import FACTORS, batches, image_batches, loss, od_toy, toy


def test_stored_weights_are_those_of_section_1_6():
    """(1 - kappa) n + K kappa n; with K = 4 and kappa = .1, 31 % of what is stored is dynamic."""
    layer = LayerModes(name="a", kernels=4, total=1000, dynamic=100)
    assert (layer.ratio, layer.stored) == (0.1, 900 + 400)
    report = PartitionReport(criterion="switch", granularity="weight", ratio=0.1, ties=0, layers=(layer,))
    assert report.stored_share == pytest.approx(0.4 / 1.3)
    assert (report.dynamic_ratio, report.stored, report.fully_dynamic) == (0.1, 1300, 4000)


def test_a_report_has_the_layers_by_name():
    model = toy()
    report = partition(model, 0.25, batches=batches(), loss_fn=loss)
    assert [(layer.name, layer.kernels, layer.total) for layer in report.layers] == [("0", 3, 30), ("3", 2, 18)]
    assert sum(layer.dynamic for layer in report.layers) == 12
    for layer, module in zip(report.layers, (model[0], model[3]), strict=True):
        assert layer.stored == module.dynamic_parameters() + module.static_parameters()
    assert "layers" not in repr(report)


def test_a_factor_of_an_attention_stores_its_row_and_bias_and_a_constant_one_number():
    attention = AttentionModes(name="a", hidden=16, total=10, dynamic=3)
    assert (attention.ratio, attention.stored) == (0.3, 7 + 3 * 17)
    layer = LayerModes(name="b", kernels=4, total=10, dynamic=1)
    report = PartitionReport(
        criterion="remove", granularity="row", ratio=0.2, ties=0, layers=(layer,), attentions=(attention,)
    )
    assert (report.dynamic_ratio, report.stored, report.fully_dynamic) == (0.2, 13 + 58, 40 + 170)
    assert report.stored_share == (4 + 51) / 71


def test_a_report_of_attentions_alone_has_them_by_name():
    report = partition(od_toy(), 0.5, of="attentions", batches=image_batches(), loss_fn=loss)
    assert report.layers == () and {one.name: one.total for one in report.attentions} == FACTORS
    assert report.dynamic_ratio == 0.5 and {one.hidden for one in report.attentions} == {16}
