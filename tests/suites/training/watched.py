"""A mixture in a block that a describer knows, trained with its routers watched, in one process or several."""

from typing import Any

from torch import Tensor, nn, optim

from sparsebench.models.anatomy import Anatomy, Block, Site, register_describer
from sparsebench.models.moe.routing.statistics import aux_loss
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.router_watch import RouterWatch
from sparsebench.suites.training.settings import TrainSettings

from .balanced import WIDTH, Padded, mixture


class OneBlock(nn.Module):
    """Called as blocks of transformers are: with the tokens (B, L, D) and which of them are real (B, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = mixture(balance="cv2", balance_coef=0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        self.mlp.token_mask = mask
        return self.mlp(x)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = OneBlock()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.block(x, mask=mask)


def anatomy(model: Any) -> Anatomy:
    site = Site(model.block, "mlp", "block.mlp")
    block = Block(index=0, site=Site(model, "block", "block"), mlp=model.block.mlp.describe_mlp(site, site, None))
    return Anatomy(model=model, blocks=(block,), width=WIDTH)


def loss(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, real = batch
    return model(x[None], real[None])[0][real].square().mean() + aux_loss(model)


def watched(size: int) -> dict[str, Any]:
    """Four steps, each process on its part of the same rows: the curves of the routers."""
    register_describer(Model, anatomy)
    model = Model()
    result = train(
        model,
        Padded(size),
        loss,
        groups=[Group(name="model", parameters=list(model.parameters()), learning_rate=0.02, optimizer=optim.SGD)],
        settings=TrainSettings(steps=4),
        weight=lambda batch: float(batch[1].sum()),
        callbacks=[RouterWatch()],
    )
    return {name: result.curves[name] for name in ("router cv2", "router balance loss")}
