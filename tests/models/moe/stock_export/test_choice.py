"""What is chosen for each engine is what the table of engines says, cell by cell; what they compute is measured in
`tests/models/foreign_engines/test_engines.py`."""

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.models.moe.stock_export import architectures
from sparsebench.models.moe.stock_export.choice import STOCK, choose
from sparsebench.models.moe.stock_export.source import Source

from ...foreign_engines.engines import ENGINES
from ...foreign_engines.exports import CASES, tiny
from ...foreign_engines.matrix import NONE, NOT_ASKED, TABLE, choices, read, rendered


def test_the_table_says_what_is_chosen() -> None:
    table = read(TABLE.read_text())
    assert list(table.cells) == list(CASES) and list(table.versions) == list(ENGINES)
    for row in CASES:
        expected = {name: chosen for name, (chosen, _) in choices(row).items()}
        assert {name: cell.split()[0] for name, cell in table.cells[row].items()} == expected, row
    assert rendered(table) == TABLE.read_text()


def test_the_table_has_every_architecture_and_no_wrong_number() -> None:
    cells = [cell for row in read(TABLE.read_text()).cells.values() for cell in row.values()]
    assert {cell.split()[0] for cell in cells} == {stock.name for stock in STOCK} | {NONE, NOT_ASKED}
    for cell in cells:
        architecture, _, rest = cell.partition(" ")
        assert architecture in (NONE, NOT_ASKED) or float(rest) < 1e-3, cell


def test_what_no_architecture_has_is_named_alone() -> None:
    source = Source.of(tiny("Gemma2", {}, MoEConfig(num_experts=4, num_shared=1)))
    with pytest.raises(ModelError, match="no stock architecture has norms both before and after each layer, soft caps"):
        choose(source, "transformers")
    source = Source.of(tiny("Qwen3", {}, MoEConfig(num_experts=4, num_shared=1, score="softmax_topk", renorm=False)))
    with pytest.raises(ModelError, match=r"has a shared block, norms of queries and keys, weights .* at once: use"):
        choose(source, "transformers")


def test_an_architecture_can_be_named() -> None:
    source = Source.of(tiny("Llama", {}, MoEConfig(num_experts=4)))
    for name in ("qwen2_moe", "Qwen2Moe", "qwen2-moe"):
        assert choose(source, "transformers", name)[0].name == "Qwen2Moe"
    with pytest.raises(ModelError, match="did you mean 'qwen2moe'"):
        choose(source, "transformers", "qwen2_mo")
    with pytest.raises(ModelError, match="architecture=GraniteMoeShared: compressed-tensors does not run"):
        choose(source, "compressed-tensors", "granite_moe_shared")
    found = architectures(tiny("Llama", {}, MoEConfig(num_experts=4, score="sigmoid")))
    assert found["transformers"] == "Glm4Moe" and "llama.cpp does not run Glm4Moe" in found["llama.cpp"]
