"""The panel of compression: what each link took away in words, bytes, similarities; what is named and what is not."""

import re

from sparsebench.reports.page.render import render
from sparsebench.reports.panels.compression import MAX_TASKS, PANEL


def experts(link="", bytes_after=75.0):
    found = {
        "compression bytes": [(0, 100.0), (1, bytes_after)],
        "compression active": [(0, 40.0), (1, 40.0)],
        "compression experts before": [(0, 8.0), (1, 8.0)],
        "compression experts": [(0, 6.0), (1, 4.0)],
        "compression dropped experts": [(0, 1.0), (0, 3.0), (1, 0.0), (1, 1.0), (1, 2.0), (1, 5.0)],
        "compression unseen experts": [(1, 5.0)],
        "compression tokens": [(block, float(block + 1)) for block in (0, 1) for _ in range(8)],
    }
    return {link + name: points for name, points in found.items()}


def rounded(link=""):
    found = {
        "compression bytes": [(0, 75.0), (1, 30.0)],
        "compression bits": [(0, 3.0), (1, 4.0)],
        "compression group size": [(0, 64.0), (1, 64.0)],
        "compression error": [(0, 0.02), (0, 0.04), (1, 0.03)],
        "compression to nearest": [(1, 5.0)],
    }
    return {link + name: points for name, points in found.items()}


def depth(link=""):
    found = {
        "compression bytes": [(0, 100.0), (1, 80.0)],
        "dropped by block": [(0, 0.0), (1, 1.0), (2, 1.0)],
        "similarity by block": [(0, 0.5), (1, 0.9), (2, 0.95)],
    }
    return {link + name: points for name, points in found.items()}


def zeros():
    found = {"compression bytes": [(0, 100.0), (1, 100.0)], "zeros by block": [(0, 0.5)]}
    found["compression zeros up"] = [(0, 0.5), (0, 0.25)]
    found["compression by magnitude"] = [(0, 1.0)]
    return found


def page(tmp_path, *records):
    return render(list(records), [], tmp_path, {}).read_text()


def section(text):
    return text[text.index("<h3>Compression</h3>") :].partition("<h3>Notes</h3>")[0]


def cells(part):
    return re.findall(r"<td>([^<]*)</td>", part)


def test_each_link_says_what_it_took_away(make, tmp_path):
    part = section(page(tmp_path, make.record("chain", curves={**experts("1. "), **rounded("2. ")})))
    found = cells(part)
    assert found[0] == "1  chain"
    assert found[1] == (
        "1. 6 of 16 experts (4 to 6 left by layer, 1 unseen); "
        "2. 3 to 4 bits in groups of 64, error 3.00 %, 1 to nearest for want of tokens"
    )
    assert found[2] == "30 B"
    assert 'aria-label="t: stored bytes that are left"' in part


def test_layers_zeros_and_the_search(make, tmp_path):
    search = {
        "compression bytes": [(0, 100.0), (1, 50.0)],
        "compression experts before": [(0, 8.0), (1, 8.0)],
        "compression experts": [(0, 8.0), (1, 0.0)],
        "compression width": [(0, 32.0), (1, 0.0)],
        "compression bits": [(0, 2.0)],
        "dropped by block": [(0, 0.0), (1, 1.0)],
        "compression damage": [(0, 0.01), (1, 0.5)],
    }
    records = [make.record("deep", curves=depth()), make.record("masked", curves=zeros())]
    records.append(make.record("searched", curves=search))
    part = section(page(tmp_path, *records))
    texts = dict(zip(cells(part)[0:18:6], cells(part)[1:18:6], strict=True))
    assert {name.split("  ")[1]: text for name, text in texts.items()} == {
        "deep": "layers or blocks 1 2",
        "masked": "37.5 % zeros in 2 matrices, 1 by magnitude for want of tokens",
        "searched": "8 of 16 experts (0 to 8 left by layer), experts 32 wide, layers or blocks 1, 2 bits",
    }
    assert 'aria-label="Similarity by block"' in part and "0.500 0.900 0.950" in part
    assert "against stored bytes" in part


def test_rows_that_took_nothing_away_have_no_panel(make, tmp_path):
    text = page(tmp_path / "none", make.record("plain", curves={"train loss": [(0, 1.0), (1, 0.5)]}))
    assert "<h3>Compression</h3>" not in text
    # Records of earlier versions have curves by block alone, and keep their place among the training curves.
    older = {"similarity by block": [(0, 0.5), (1, 0.9)], "dropped by block": [(0, 0.0), (1, 1.0)]}
    text = page(tmp_path / "older", make.record("older", curves=older))
    assert "<h3>Compression</h3>" not in text and "similarity by block" in text


def test_the_amount_is_bounded_and_what_makes_no_sense_is_named(make, tmp_path):
    records = [make.record(f"row {n}", curves=experts(bytes_after=50.0 + n)) for n in range(18)]
    part = section(page(tmp_path / "many", *records))
    assert "2 more rows are in the records" in part
    tasks = [make.record("row", f"t{n}", curves=experts()) for n in range(MAX_TASKS + 2)]
    assert "2 more tasks are in the records" in section(page(tmp_path / "tasks", *tasks))
    broken = {"compression bytes": [(0, 100.0), (1, 50.0)], "compression zeros up": [(0, 2.0)]}
    text = page(tmp_path / "broken", make.record("row", curves=broken))
    assert "details[&#39;compression&#39;] is not of its form" in text and "no shares" in text


def test_curves_of_compression_are_not_training_curves(make, tmp_path):
    text = page(tmp_path, make.record("row", curves=experts()))
    assert "Training curves" not in text and PANEL.key == "compression"
