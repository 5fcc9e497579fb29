"""VTAB-1K (Zhai et al., arXiv 1910.04867) from a folder of the user's: read, checked, and built from raw arrays.

The folder has the layout that the community passes on (`layout.py`). `label_rules.py` has the labels of the
structured tasks from raw factors, `builder.py` writes the layout, `few_shot.py` draws 1 to 16 images a class.
"""

from .checks import check_images
from .images import ImageList
from .layout import OWN_IMAGES, SOURCE, VtabTask, own_images, vtab1k
from .tasks import CLASSES, GROUPS, PARTS, TEST_SIZES

__all__ = [
    "CLASSES",
    "GROUPS",
    "OWN_IMAGES",
    "PARTS",
    "SOURCE",
    "TEST_SIZES",
    "ImageList",
    "VtabTask",
    "check_images",
    "own_images",
    "vtab1k",
]
