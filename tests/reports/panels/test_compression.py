"""The panel of compression: what each link took away in words, bytes, similarities; what is named and what is not."""

from sparsebench.reports.figures.plots import MAX_MARKS
from sparsebench.reports.panels.compression import PANEL

from .pages import cells, page, section


def note(before, after, **lists):
    """By name, a list of (block, values)."""
    blocks = {}
    for name, entries in lists.items():
        for block, values in entries:
            blocks.setdefault(str(block), {})[name] = values
    return {"bytes": [before, after], "active": [40, 40], "blocks": blocks}


def experts(link="", bytes_after=75.0):
    found = note(
        100.0,
        bytes_after,
        experts_before=[(0, [8]), (1, [8])],
        experts=[(0, [6]), (1, [4])],
        dropped_experts=[(0, [1, 3]), (1, [0, 1, 2, 5])],
        unseen_experts=[(1, [5])],
        tokens=[(0, [1] * 8), (1, [2] * 8)],
    )
    return {f"{link}compression": found}


def rounded(link=""):
    found = note(
        75,
        30,
        bits=[(0, [3]), (1, [4])],
        group_size=[(0, [64]), (1, [64])],
        error=[(0, [0.02, 0.04]), (1, [0.03])],
        to_nearest=[(1, [5])],
    )
    return {f"{link}compression": found}


def depth():
    dropped = [(0, [0]), (1, [1]), (2, [1])]
    return {"compression": note(100, 80, dropped=dropped, similarity=[(0, [0.5]), (1, [0.9]), (2, [0.95])])}


def zeros():
    return {"compression": note(100, 100, zeros_up=[(0, [0.5, 0.25])], by_magnitude=[(0, [1])])}


def test_each_link_says_what_it_took_away(make, tmp_path):
    part = section("Compression", tmp_path, make.record("chain", details={**experts("1. "), **rounded("2. ")}))
    found = cells(part)
    assert found[0] == "1  chain"
    assert found[1] == (
        "1. 6 of 16 experts (4 to 6 left by layer, 1 unseen); "
        "2. 3 to 4 bits in groups of 64, error 3.00 %, 1 to nearest for want of tokens"
    )
    assert found[2] == "30 B"
    assert 'chart "t: stored bytes that are left"' in part


def test_layers_zeros_and_the_search(make, tmp_path):
    search = note(
        100,
        50,
        experts_before=[(0, [8]), (1, [8])],
        experts=[(0, [8]), (1, [0])],
        width=[(0, [32]), (1, [0])],
        bits=[(0, [2])],
        dropped=[(0, [0]), (1, [1])],
        damage=[(0, [0.01]), (1, [0.5])],
    )
    records = [make.record("deep", details=depth()), make.record("masked", details=zeros())]
    records.append(make.record("searched", details={"compression": search}))
    part = section("Compression", tmp_path, *records)
    texts = dict(zip(cells(part)[0:21:7], cells(part)[1:21:7], strict=True))
    assert {name.split("  ")[1]: text for name, text in texts.items()} == {
        "deep": "layers or blocks 1 2",
        "masked": "37.5 % zeros in 2 matrices, 1 by magnitude for want of tokens",
        "searched": "8 of 16 experts (0 to 8 left by layer), experts 32 wide, layers or blocks 1, 2 bits",
    }
    assert 'chart "t: similarity by block"' in part and "0.500 0.900 0.950" in part
    assert "against stored bytes" in part


def test_rows_that_took_nothing_away_have_no_panel(make, tmp_path):
    text = page(tmp_path / "none", make.record("plain", curves={"train loss": [(0, 1.0), (1, 0.5)]}))
    assert "<h3>Compression</h3>" not in text
    # Records of earlier versions have curves by block alone, and keep their place among the curves.
    older = {"similarity by block": [(0, 0.5), (1, 0.9)], "dropped by block": [(0, 0.0), (1, 1.0)]}
    text = page(tmp_path / "older", make.record("older", curves=older))
    assert "<h3>Compression</h3>" not in text


def test_the_amount_is_bounded_and_what_makes_no_sense_is_named(make, tmp_path):
    records = [make.record(f"row {n}", details=experts(bytes_after=50.0 + n)) for n in range(MAX_MARKS + 2)]
    part = section("Compression", tmp_path / "many", *records)
    assert "2 more rows are in the records" in part
    tasks = [make.record("row", f"t{n}", details=experts()) for n in range(PANEL.most_tasks + 2)]
    assert "2 more tasks are in the records" in section("Compression", tmp_path / "tasks", *tasks)
    broken = {"compression": note(100, 50, zeros_up=[(0, [2.0])])}
    text = page(tmp_path / "broken", make.record("row", details=broken))
    assert "details['compression'] is not of its form" in text and "no fractions" in text


def test_what_a_search_took_stands_beside_its_bytes(make, tmp_path):
    searched = {**experts(), "search": {"passes": 57.25, "batches": 4}}
    found = cells(section("Compression", tmp_path, make.record("s", details=searched, times={"prepare": 41.2})))
    assert found[5] == "41 s, 57 passes"
    plain = cells(section("Compression", tmp_path, make.record("r", details=experts(), times={})))
    assert plain[5] == "–"
