"""VTAB-1K by the published protocol, from your own folder

Zhai et al. (arXiv 1910.04867), section 2: options are chosen on val200, then all 1,000 images train, and top-1 is
scored on the whole test part. `suites/prediction/chosen.py` says how the choice is made; the epoch is the last one.
"""

from dataclasses import dataclass

from ..published_protocol import PublishedVTAB1KTask

CHECKS_DATA = True
COLUMNS = ("name", "group", "classes", "caption")
ROWS = (
    ("vtab1k_published_caltech101", "natural", 102, "VTAB-1K, published protocol: Caltech101 (101 + background)"),
    ("vtab1k_published_cifar", "natural", 100, "VTAB-1K, published protocol: CIFAR-100"),
    ("vtab1k_published_dtd", "natural", 47, "VTAB-1K, published protocol: DTD textures"),
    ("vtab1k_published_oxford_flowers102", "natural", 102, "VTAB-1K, published protocol: Oxford Flowers 102"),
    ("vtab1k_published_oxford_iiit_pet", "natural", 37, "VTAB-1K, published protocol: Oxford-IIIT Pet"),
    ("vtab1k_published_sun397", "natural", 397, "VTAB-1K, published protocol: SUN397 scenes"),
    ("vtab1k_published_svhn", "natural", 10, "VTAB-1K, published protocol: SVHN, cropped"),
    ("vtab1k_published_diabetic_retinopathy", "specialized", 5, "VTAB-1K, published protocol: Diabetic Retinopathy"),
    ("vtab1k_published_eurosat", "specialized", 10, "VTAB-1K, published protocol: EuroSAT, RGB"),
    ("vtab1k_published_patch_camelyon", "specialized", 2, "VTAB-1K, published protocol: Patch Camelyon"),
    ("vtab1k_published_resisc45", "specialized", 45, "VTAB-1K, published protocol: RESISC45"),
    ("vtab1k_published_clevr_count", "structured", 8, "VTAB-1K, published protocol: CLEVR, number of objects"),
    ("vtab1k_published_clevr_dist", "structured", 6, "VTAB-1K, published protocol: CLEVR, closest object"),
    ("vtab1k_published_dmlab", "structured", 6, "VTAB-1K, published protocol: DMLab"),
    ("vtab1k_published_dsprites_loc", "structured", 16, "VTAB-1K, published protocol: dSprites, horizontal position"),
    ("vtab1k_published_dsprites_ori", "structured", 16, "VTAB-1K, published protocol: dSprites, orientation"),
    ("vtab1k_published_kitti", "structured", 4, "VTAB-1K, published protocol: KITTI, distance of the closest vehicle"),
    ("vtab1k_published_smallnorb_azi", "structured", 18, "VTAB-1K, published protocol: SmallNORB, azimuth"),
    ("vtab1k_published_smallnorb_ele", "structured", 9, "VTAB-1K, published protocol: SmallNORB, elevation"),
)


@dataclass(frozen=True, kw_only=True)
class PublishedVTAB1K(PublishedVTAB1KTask):
    """One row."""

    name: str
    group: str
    classes: int

    version = "1"
    sources = ("vtab-1k",)
