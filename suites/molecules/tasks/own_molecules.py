"""Your own molecules, from a table of yours: numbers, yes or no, or classes, as the values say; split by scaffold"""

from typing import ClassVar

from sparsebench.data.own.columns import Kind

from ...prediction.own_table import OwnTableTask

CHECKS_DATA = True


class OwnMolecules(OwnTableTask):
    """See `sparsebench.data.own.labelled` for the table and its parts; options are chosen on the validation part.

    No scaffold is in two parts (six, two and two tenths of the molecules, scaffolds in random order, seed 0), unless a
    column names the parts. Version 1 had one RMSE over several columns, whatever their units.
    """

    kind: ClassVar[Kind] = "molecules"
    version = "2"
    group = "own"
    sources = ("own-molecules",)
