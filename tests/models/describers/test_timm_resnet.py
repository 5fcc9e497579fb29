from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from sparsebench.models.anatomy import describe

SMALL = {"layers": (1, 2, 1, 1), "channels": (8, 8, 8, 8), "num_classes": 3}


def test_convolutions_of_any_size_in_order() -> None:
    basic = describe(ResNet(BasicBlock, **SMALL))
    assert [site.name for site in basic.blocks[0].convs] == ["conv1", "conv2"] and basic.blocks[0].linears == ()
    narrow = describe(ResNet(Bottleneck, **SMALL, cardinality=2, base_width=32))
    assert [site.get().kernel_size for site in narrow.blocks[0].convs] == [(1, 1), (3, 3), (1, 1)]
    assert [site.name for site in narrow.blocks[0].linears] == ["conv1", "conv3"], "conv2 is grouped"
    assert narrow.width == 32


def test_blocks_that_change_the_shape_have_to_stay() -> None:
    assert [block.removable for block in describe(ResNet(BasicBlock, **SMALL)).blocks] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_head() -> None:
    model = ResNet(BasicBlock, **SMALL)
    head = describe(model).head
    assert head is not None and head.path == "fc"
    model.reset_classifier(0)
    assert describe(model).head is None


def test_convolutions_of_shortcuts() -> None:
    """Those that change the shape have one, beside a pooling where the network is one of the "d" kind."""
    blocks = describe(ResNet(BasicBlock, **SMALL)).blocks
    assert [site.path for site in blocks[1].shortcut_convs] == ["layer2.0.downsample.0"]
    assert blocks[2].shortcut_convs == ()
    pooled = describe(ResNet(Bottleneck, **SMALL, avg_down=True)).blocks[1]
    assert [site.path for site in pooled.shortcut_convs] == ["layer2.0.downsample.1"]
