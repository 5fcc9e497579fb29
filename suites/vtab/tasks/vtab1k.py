"""The nineteen tasks of VTAB-1K (Zhai et al., arXiv 1910.04867), from your own folder"""

from dataclasses import dataclass

from ..community_folder import VTAB1KTask

CHECKS_DATA = True
COLUMNS = ("name", "group", "classes", "caption")
ROWS = (
    ("vtab1k_caltech101", "natural", 102, "VTAB-1K: Caltech101 (101 + background), from your own folder"),
    ("vtab1k_cifar", "natural", 100, "VTAB-1K: CIFAR-100, from your own folder"),
    ("vtab1k_dtd", "natural", 47, "VTAB-1K: DTD textures, from your own folder"),
    ("vtab1k_oxford_flowers102", "natural", 102, "VTAB-1K: Oxford Flowers 102, from your own folder"),
    ("vtab1k_oxford_iiit_pet", "natural", 37, "VTAB-1K: Oxford-IIIT Pet, from your own folder"),
    ("vtab1k_sun397", "natural", 397, "VTAB-1K: SUN397 scenes, from your own folder"),
    ("vtab1k_svhn", "natural", 10, "VTAB-1K: SVHN, cropped, from your own folder"),
    ("vtab1k_diabetic_retinopathy", "specialized", 5, "VTAB-1K: Diabetic Retinopathy, from your own folder"),
    ("vtab1k_eurosat", "specialized", 10, "VTAB-1K: EuroSAT, RGB, from your own folder"),
    ("vtab1k_patch_camelyon", "specialized", 2, "VTAB-1K: Patch Camelyon, from your own folder"),
    ("vtab1k_resisc45", "specialized", 45, "VTAB-1K: RESISC45, from your own folder"),
    ("vtab1k_clevr_count", "structured", 8, "VTAB-1K: CLEVR, number of objects, from your own folder"),
    ("vtab1k_clevr_dist", "structured", 6, "VTAB-1K: CLEVR, distance of the closest object, from your own folder"),
    ("vtab1k_dmlab", "structured", 6, "VTAB-1K: DMLab, from your own folder"),
    ("vtab1k_dsprites_loc", "structured", 16, "VTAB-1K: dSprites, horizontal position, from your own folder"),
    ("vtab1k_dsprites_ori", "structured", 16, "VTAB-1K: dSprites, orientation, from your own folder"),
    ("vtab1k_kitti", "structured", 4, "VTAB-1K: KITTI, distance of the closest vehicle, from your own folder"),
    ("vtab1k_smallnorb_azi", "structured", 18, "VTAB-1K: SmallNORB, azimuth, from your own folder"),
    ("vtab1k_smallnorb_ele", "structured", 9, "VTAB-1K: SmallNORB, elevation, from your own folder"),
)


@dataclass(frozen=True, kw_only=True)
class VTAB1K(VTAB1KTask):
    """One row."""

    name: str
    group: str
    classes: int

    version = "1"
    sources = ("vtab-1k",)
