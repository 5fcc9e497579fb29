"""Your own molecules: a generator, or a sparse form of it, trains on them and writes new ones like others of them

The folder is that of `own_molecules`; of its table only the column of SMILES is read, and one that names parts.
"""

from ..generation.novel import NOVEL_NAMES
from ..generation.own import OwnGeneration

CHECKS_DATA = True


class OwnGenerationTrained(OwnGeneration):
    """Metrics of MOSES against the test part of the user's molecules: a fifth at random, or those that a column names.

    FCD depends on the number of test molecules as well: compare within one folder. The filters are MOSES's.
    """

    version = "1"
    metric_names = NOVEL_NAMES
    draws = True
    group = "own generation"
    sources = ("own-molecules", "moses", "chemnet")
