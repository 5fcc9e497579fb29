"""Molecules: what a record keeps of them, and drawings that are small, well-formed, and in the page's colours."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.panels.molecules import MAX_ATOMS, Drawn, Panel, draw, panels, to_details
from sparsebench.reports.record import RecordError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
LARGE = ("O=C(c1ccc(S(=O)(=O)NCC2CCCO2)cc1)N1CCN(Cc2ccsc2)CC1", "COc1ccc(NC(=O)c2ccc(N3CCOCC3)nc2)cc1OC(F)(F)Cl")


def test_a_record_keeps_panels(make):
    found = [Panel("grid <b>", "grid", (Drawn("CCO", "a & b"), Drawn(""))), Panel("path", "path", (Drawn("C("),))]
    details = to_details(found)
    assert details["molecules"][0]["items"] == [{"smiles": "CCO", "caption": "a & b"}, {"smiles": "", "caption": ""}]
    assert panels(make.record(details=json.loads(json.dumps(details)))) == tuple(found)
    assert to_details([]) == {}
    assert panels(make.record()) == ()


@pytest.mark.parametrize(
    "entry",
    [
        [{"title": "t", "kind": "circle", "items": [{"smiles": "C", "caption": ""}]}],
        [{"title": "t", "kind": "grid", "items": []}],
        [{"title": "t", "kind": "grid", "items": [{"smiles": 3, "caption": ""}]}],
        [{"title": "t", "kind": "grid", "items": [{"smiles": "C"}]}],
        [{"title": "t", "items": []}],
        ["C"],
        {"C": 1},
        7,
        [{"title": "t", "kind": ["grid"], "items": [{"smiles": "C", "caption": ""}]}],
    ],
)
def test_another_form_is_an_error_that_names_the_record(make, entry):
    record = make.record(details={"molecules": entry})
    with pytest.raises(RecordError, match=record.id):
        panels(record)


def test_a_drawing_is_a_picture_without_ids_or_fixed_black():
    svg = draw("C[C@H](N)C(=O)OP(S)Cl")
    assert svg == draw("C[C@H](N)C(=O)OP(S)Cl")
    assert svg is not None
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.get("aria-label") == "C[C@H](N)C(=O)OP(S)Cl"
    assert {element.tag for element in root} == {"path"}
    assert set(re.findall(r'class="([^"]*)"', svg)) == {"atom-n", "atom-o", "atom-p", "atom-s", "atom-x"}
    assert not re.search(r'\bid=|#|http|style=|<rect|fill="(?!none|currentColor)', svg)


def test_every_class_has_a_colour_on_the_page(make, tmp_path):
    from sparsebench.reports.render import render

    style = render([make.record()], [], tmp_path, {}).read_text().partition("</style>")[0]
    for name in ("nitrogen", "oxygen", "sulfur", "halogen", "phosphorus"):
        assert style.count(f"--{name}: #") == 2, "light and dark"
        assert f"var(--{name})" in style


def test_twenty_four_drug_like_molecules_stay_small():
    assert sum(len(draw(LARGE[i % 2]) or "") for i in range(24)) < 200_000


@pytest.mark.parametrize("smiles", ["", "C(C", "c1cccc1", "<script>", "é\0", "C" * (MAX_ATOMS + 1), "not a molecule"])
def test_what_cannot_be_read_has_no_drawing(smiles, capfd):
    assert draw(smiles) is None
    assert capfd.readouterr() == ("", ""), "RDKit complains on the terminal"


@pytest.mark.parametrize("smiles", ["C", "[Na+].[Cl-]", "[2H]C", "[Cu]<-N", "C\\C=C\\Cl", "[Se]", "*C", ASPIRIN])
def test_odd_molecules_are_drawn(smiles):
    svg = draw(smiles)
    assert svg is not None
    assert xml.etree.ElementTree.fromstring(svg).get("aria-label") == smiles


@given(st.text(alphabet="CNOcnos123()[]=#+-@/\\.%*<>&\"'H ", max_size=25) | st.text(max_size=10))
def test_no_text_breaks_the_drawing(smiles):
    svg = draw(smiles)
    assert svg is None or svg.startswith("<svg ")


def test_reading_panels_does_not_import_rdkit():
    code = "import sys, sparsebench.reports.molecules, sparsebench.reports.html\nassert 'rdkit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
