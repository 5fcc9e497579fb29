"""Drawings of molecules: small, well-formed, and in the page's colours."""

import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.figures.molecules import MAX_ATOMS, draw_molecule

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
LARGE = ("O=C(c1ccc(S(=O)(=O)NCC2CCCO2)cc1)N1CCN(Cc2ccsc2)CC1", "COc1ccc(NC(=O)c2ccc(N3CCOCC3)nc2)cc1OC(F)(F)Cl")


def test_a_drawing_is_a_picture_without_ids_or_fixed_black():
    svg = draw_molecule("C[C@H](N)C(=O)OP(S)Cl")
    assert svg == draw_molecule("C[C@H](N)C(=O)OP(S)Cl")
    assert svg is not None
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.get("aria-label") == "C[C@H](N)C(=O)OP(S)Cl"
    assert {element.tag for element in root} == {"path"}
    assert set(re.findall(r'class="([^"]*)"', svg)) == {"atom-n", "atom-o", "atom-p", "atom-s", "atom-x"}
    assert not re.search(r'\bid=|#|http|style=|<rect|fill="(?!none|currentColor)', svg)


def test_every_class_has_a_colour_on_the_page():
    from sparsebench.reports.page.html import WEB

    style = (WEB / "style.css").read_text()
    for letter in "nosxp":
        assert style.count(f".atom-{letter} {{ color: #") == 2, "light and dark"


def test_twenty_four_drug_like_molecules_stay_small():
    assert sum(len(draw_molecule(LARGE[i % 2]) or "") for i in range(24)) < 200_000


@pytest.mark.parametrize("smiles", ["", "C(C", "c1cccc1", "<script>", "é\0", "C" * (MAX_ATOMS + 1), "not a molecule"])
def test_what_cannot_be_read_has_no_drawing(smiles, capfd):
    assert draw_molecule(smiles) is None
    assert capfd.readouterr() == ("", ""), "RDKit complains on the terminal"


@pytest.mark.parametrize("smiles", ["C", "[Na+].[Cl-]", "[2H]C", "[Cu]<-N", "C\\C=C\\Cl", "[Se]", "*C", ASPIRIN])
def test_odd_molecules_are_drawn(smiles):
    svg = draw_molecule(smiles)
    assert svg is not None
    assert xml.etree.ElementTree.fromstring(svg).get("aria-label") == smiles


@given(st.text(alphabet="CNOcnos123()[]=#+-@/\\.%*<>&\"'H ", max_size=25) | st.text(max_size=10))
def test_no_text_breaks_the_drawing(smiles):
    svg = draw_molecule(smiles)
    assert svg is None or svg.startswith("<svg ")


def test_importing_the_page_does_not_import_rdkit():
    names = "sparsebench.reports.figures.molecules, sparsebench.reports.page.html"
    code = f"import sys, {names}\nassert 'rdkit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
