"""Your own images, from a folder of yours with a folder for each class, or with lists

The folder that SPARSEBENCH_OWN_IMAGES names holds a folder for each class (`data/vision/vtab1k/class_folders.py`), or
the lists train800.txt, val200.txt, train800val200.txt and test.txt with lines "images/train800/a.jpg 3", whatever the
number of rows and classes. Options are chosen on val200, then train800val200 trains, and the last epoch is scored on
the test part. Other images are another cell. Photographs are turned as their EXIF orientation says, 16 bits are scaled
to 8, and what is transparent is laid on white.
"""

from ..published_protocol import OwnImagesTask

CHECKS_DATA = True


class OwnImages(OwnImagesTask):
    """What is in the folder."""

    version = "2"
    group = "own"
    sources = ("own-images",)
