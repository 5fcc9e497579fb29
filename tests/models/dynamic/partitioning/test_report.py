"""The report counts what the deployed form stores."""

import pytest

from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.report import LayerModes, PartitionReport

from .toy import batches, loss, toy


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
