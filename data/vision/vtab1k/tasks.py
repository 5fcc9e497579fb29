"""What the nineteen tasks are: groups, classes and sizes of the parts (the data classes of task_adaptation)."""

SIZES = {"train800": 800, "val200": 200, "train800val200": 1000}
"""Rows of the parts that are the same for every task; those of the test part are in `TEST_SIZES`."""
PARTS = (*SIZES, "test")

GROUPS = {
    "natural": ("cifar", "caltech101", "dtd", "oxford_flowers102", "oxford_iiit_pet", "svhn", "sun397"),
    "specialized": ("patch_camelyon", "eurosat", "resisc45", "diabetic_retinopathy"),
    "structured": (
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ),
}

CLASSES = {
    **{"cifar": 100, "caltech101": 102, "dtd": 47, "oxford_flowers102": 102, "oxford_iiit_pet": 37},
    **{"svhn": 10, "sun397": 397, "patch_camelyon": 2, "eurosat": 10, "resisc45": 45, "diabetic_retinopathy": 5},
    **{"clevr_count": 8, "clevr_dist": 6, "dmlab": 6, "kitti": 4},
    **{"dsprites_loc": 16, "dsprites_ori": 16, "smallnorb_azi": 18, "smallnorb_ele": 9},
}

TEST_SIZES = {
    **{"cifar": 10_000, "caltech101": 6_084, "dtd": 1_880, "oxford_flowers102": 6_149, "oxford_iiit_pet": 3_669},
    **{"svhn": 26_032, "sun397": 21_750},
    **{"patch_camelyon": 32_768, "eurosat": 5_400, "resisc45": 6_300, "diabetic_retinopathy": 42_670},
    **{"clevr_count": 15_000, "clevr_dist": 15_000, "dmlab": 22_735, "kitti": 711},
    **{"dsprites_loc": 73_728, "dsprites_ori": 73_728, "smallnorb_azi": 12_150, "smallnorb_ele": 12_150},
}

SPARSE = ("sun397",)
"""1,000 images of 397 classes: some classes have none to train on."""
TWINS = ("dsprites_loc", "dsprites_ori", "patch_camelyon")
"""Sets in which different rows may hold the same pixels: a square looks the same after a quarter of a turn, and patches
of slides were drawn with replacement."""


def sizes(task: str) -> dict[str, int]:
    """Rows of the four parts of a task."""
    return {**SIZES, "test": TEST_SIZES[task]}
