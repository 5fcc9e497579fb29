#!/usr/bin/env bash
# A chemist with a table of molecules: which method, how sure, new molecules, and again after a value was wrong.
set -eu

cat > measure.py <<'PYTHON'
"""His measurements: a computed property and the noise of the instrument."""

import csv
import random

from rdkit.Chem import MolFromSmiles
from rdkit.Chem.Crippen import MolLogP

random.seed(0)
CHAINS = ("C", "CC", "CCC", "CO", "CCO", "CCCO", "CN", "CCN", "FC(F)(F)", "CC(=O)N", "ClCC", "CC(C)C", "CS", "NCC", "OCC")
RINGS = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "C1CCOCC1", "c1ccsc1", "C1CCNC1", "c1ccc2ccccc2c1", "C1CC1", "C1CCCC1")
MORE_RINGS = ("c1cnccn1", "c1ccoc1", "C1CCCCCC1", "C1CCSC1")

with open("mydata.csv", "w") as measured, open("new.csv", "w") as wanted:
    known, unknown = csv.writer(measured), csv.writer(wanted)
    known.writerow(["ID", "SMILES", "logP"])
    unknown.writerow(["ID", "SMILES"])
    for number, smiles in enumerate(chain + ring for ring in RINGS + MORE_RINGS for chain in CHAINS):
        if number % 15 == 7:
            unknown.writerow([number, smiles])
        else:
            known.writerow([number, smiles, round(MolLogP(MolFromSmiles(smiles)) + random.gauss(0, 0.1), 2)])
    unknown.writerow([999, "C1CC"])
PYTHON
python measure.py

# Columns are guessed, the parts share no scaffold; in the end it recommends a row and says how sure that is.
sparsebench fit mydata.csv
# A line for each molecule, columns of the table first; the one that is no molecule has the reason in place of a value.
sparsebench predict fit-mydata new.csv

# A digit was wrong: with it changed everything is fitted anew, and nothing of the first time is taken over.
sed -i 's/^1,CCc1ccccc1,.*/1,CCc1ccccc1,7.11/' mydata.csv
sparsebench fit mydata.csv fit-again
