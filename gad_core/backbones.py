"""The networks: which there are, their levels and widths, and how they are built up to a level.

Levels count from 1, as in the paper. Names of parameters are torchvision's, so its weights fit; the embedded
network has its own.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gad_core.embedded_network import INPUT_SIZE, WIDTHS, embedded_network
from gad_core.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Levels = int | Iterable[int] | None
"""A level, levels in ascending order, or None for all."""


@dataclass(frozen=True)
class Backbone:
    """A network as a chain of levels.

    Parameters
    ----------
    name : str
        torchvision's name of the network, or "embedded" for the one that ships with the package.
    input_size : int
        Side of the square input image in pixels.
    widths : tuple of int
        Number of channels of each level's map, from level 1.
    stages : tuple of tuple of str
        For each level, the names of the modules that lead to it from the level before.
    checkpoint : str
        File name of the pretrained weights. For torchvision's (IMAGENET1K_V1) it ends in the first eight
        digits of the file's sha256; those of the embedded network lie in the package.
    batch_norm : bool
        Whether the network normalises with running statistics, which random weights must be calibrated for.
    pretrained : {"imagenet", "embedded"}
        Which pretrained weights there are.
    in_blocks : bool
        Whether OpenVINO computes it quicker with channels in blocks, where the processor asks for that (see
        `gad_core.openvino_graph.quicker_in_blocks`); found by measuring, see ``python -m benchmarks blocks``.
    """

    name: str
    input_size: int
    widths: tuple[int, ...]
    stages: tuple[tuple[str, ...], ...]
    checkpoint: str
    batch_norm: bool = True
    pretrained: Literal["imagenet", "embedded"] = "imagenet"
    in_blocks: bool = False

    @property
    def checkpoint_sha256(self) -> str:
        """The leading digits of the sha256 of torchvision's weights file."""
        return self.checkpoint.removesuffix(".pth").rpartition("-")[2]

    def checked_levels(self, levels: Levels = None) -> tuple[int, ...]:
        """Check levels against those that the network has.

        Parameters
        ----------
        levels : int, iterable of int, or None
            Levels in ascending order; None stands for all.

        Returns
        -------
        tuple of int
            The levels.

        Raises
        ------
        InputError
            If there is none, one does not exist, or they are not in strictly ascending order.

        Examples
        --------
        >>> get_backbone("resnet18").checked_levels(range(2, 5))
        (2, 3, 4)
        """
        available = range(1, len(self.widths) + 1)
        if levels is None:
            return tuple(available)
        asked = _as_tuple(levels)
        if not asked or any(level not in available for level in asked):
            raise InputError(
                f"{self.name} has the levels 1 to {len(self.widths)}, and "
                f"{'none' if not asked else next(n for n in asked if n not in available)} was asked for"
            )
        if any(a >= b for a, b in itertools.pairwise(asked)):
            raise InputError(f"levels must be in ascending order, each once, not {levels!r}")
        return asked

    def level_widths(self, levels: Levels = None) -> dict[int, int]:
        """Give the number of channels of each asked level.

        Parameters
        ----------
        levels : int, iterable of int, or None
            As in `checked_levels`.

        Returns
        -------
        dict of int to int
            Level to number of channels, in ascending order.

        Examples
        --------
        >>> get_backbone("efficientnet_b4").level_widths([1, 7])
        {1: 48, 7: 272}
        """
        return {level: self.widths[level - 1] for level in self.checked_levels(levels)}


def _as_tuple(levels: int | Iterable[int]) -> tuple[int, ...]:
    if not isinstance(levels, Iterable):
        levels = (levels,)
    asked = tuple(levels)
    if isinstance(levels, str) or any(isinstance(n, bool) or not hasattr(n, "__index__") for n in asked):
        raise InputError(f"levels must be whole numbers such as range(1, 8) or [7], not {levels!r}")
    return tuple(int(level) for level in asked)


def get_backbone(name: str) -> Backbone:
    """Look a network up by its name.

    Parameters
    ----------
    name : str
        A key of `BACKBONES`.

    Returns
    -------
    Backbone
        Its description.

    Raises
    ------
    InputError
        If there is none of that name; the message lists the names.
    """
    if isinstance(name, str) and name in BACKBONES:
        return BACKBONES[name]
    raise InputError(f"no backbone is called {name!r}; there are {', '.join(BACKBONES)}")


def build(backbone: Backbone, depth: int, seed: int | None = None) -> nn.Module:
    """Build a network from its input up to a level, in evaluation mode.

    Parameters
    ----------
    backbone : Backbone
        Which network.
    depth : int
        The deepest level; nothing behind it is kept.
    seed : int or None
        Seed of random weights (the network's own initialisation; a level's do not depend on `depth`).
        None leaves the parameters without storage, to be assigned from a file.

    Returns
    -------
    torch.nn.Module
        Its ``forward`` takes normalised images (b, 3, s, s) and returns the list of the maps of levels
        1 to `depth`, each (b, c, h, w).
    """
    import torch

    backbone.checked_levels(depth)
    builder = _builder(backbone)
    if seed is None:
        with torch.device("meta"):
            network = builder()
    else:
        # The CPU generator alone is seeded and restored: torch.manual_seed would reach those of accelerators.
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            network = builder()
    return _chain_class()(network, backbone.stages[:depth]).eval().requires_grad_(False)


def _builder(backbone: Backbone) -> Callable[[], nn.Module]:
    """Give the function that draws a whole network."""
    if backbone.pretrained == "embedded":
        return embedded_network
    import torchvision

    return functools.partial(getattr(torchvision.models, backbone.name), weights=None)


@functools.cache
def _chain_class() -> Any:
    """Give the class of a cut network; made on first use, so that this module imports without torch."""
    from torch import Tensor, nn

    class Chain(nn.Module):
        """Modules of a network, kept under their names and called one after another."""

        def __init__(self, network: nn.Module, stages: Sequence[Sequence[str]]) -> None:
            super().__init__()
            self.stages = tuple(tuple(names) for names in stages)
            for name in (name for names in self.stages for name in names):
                parent: nn.Module = self
                *containers, last = name.split(".")
                for container in containers:
                    if container not in dict(parent.named_children()):
                        parent.add_module(container, nn.Module())
                    parent = parent.get_submodule(container)
                parent.add_module(last, network.get_submodule(name))

        def forward(self, images: Tensor) -> list[Tensor]:
            """Compute the maps of all levels, from level 1."""
            maps, x = [], images
            for names in self.stages:
                for name in names:
                    x = self.get_submodule(name)(x)
                maps.append(x)
            return maps

    return Chain


def _features(*ends: int) -> tuple[tuple[str, ...], ...]:
    """Stages of a network that is one sequence ``features``: each ends with the module of the given index."""
    starts = (0, *(end + 1 for end in ends))
    return tuple(
        tuple(f"features.{i}" for i in range(first, end + 1))
        for first, end in zip(starts, ends, strict=False)
    )


_RESNET_STAGES = (("conv1", "bn1", "relu", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
_EFFICIENTNETS = (
    (224, (32, 16, 24, 40, 80, 112, 192, 320, 1280), "efficientnet_b0_rwightman-7f5810bc.pth"),
    (240, (32, 16, 24, 40, 80, 112, 192, 320, 1280), "efficientnet_b1_rwightman-bac287d4.pth"),
    (260, (32, 16, 24, 48, 88, 120, 208, 352, 1408), "efficientnet_b2_rwightman-c35c1473.pth"),
    (300, (40, 24, 32, 48, 96, 136, 232, 384, 1536), "efficientnet_b3_rwightman-b3899882.pth"),
    (380, (48, 24, 32, 56, 112, 160, 272, 448, 1792), "efficientnet_b4_rwightman-23ab8bcd.pth"),
    (456, (48, 24, 40, 64, 128, 176, 304, 512, 2048), "efficientnet_b5_lukemelas-1a07897c.pth"),
    (528, (56, 32, 40, 72, 144, 200, 344, 576, 2304), "efficientnet_b6_lukemelas-24a108a5.pth"),
    (600, (64, 32, 48, 80, 160, 224, 384, 640, 2560), "efficientnet_b7_lukemelas-c5b4e57e.pth"),
)
_NARROW, _WIDE = (64, 64, 128, 256, 512), (64, 256, 512, 1024, 2048)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        # Stem, the seven stages of MBConv blocks, head convolution (method: Protocol).
        *(
            Backbone(f"efficientnet_b{i}", size, widths, _features(*range(9)), checkpoint, in_blocks=True)
            for i, (size, widths, checkpoint) in enumerate(_EFFICIENTNETS)
        ),
        Backbone("resnet18", 224, _NARROW, _RESNET_STAGES, "resnet18-f37072fd.pth"),
        Backbone("resnet34", 224, _NARROW, _RESNET_STAGES, "resnet34-b627a593.pth"),
        Backbone("resnet50", 224, _WIDE, _RESNET_STAGES, "resnet50-0676ba61.pth"),
        Backbone("wide_resnet50_2", 224, _WIDE, _RESNET_STAGES, "wide_resnet50_2-95faca4d.pth"),
        # Stem with its activation and pooling, then each of the eight fire modules.
        Backbone(
            "squeezenet1_1",
            224,
            (64, 128, 128, 256, 256, 384, 384, 512, 512),
            _features(2, 3, 4, 6, 7, 9, 10, 11, 12),
            "squeezenet1_1-b8a52dc0.pth",
            batch_norm=False,
        ),
        # The last block before each change of resolution or width, then the head convolution.
        Backbone(
            "mobilenet_v3_large",
            224,
            (16, 24, 40, 80, 112, 160, 960),
            _features(1, 3, 6, 10, 12, 15, 16),
            "mobilenet_v3_large-8738ca79.pth",
            in_blocks=True,
        ),
        # The patch stem, then the four stages, each with the downsampling in front of it.
        Backbone(
            "convnext_tiny",
            224,
            (96, 96, 192, 384, 768),
            _features(0, 1, 3, 5, 7),
            "convnext_tiny-983f1562.pth",
            batch_norm=False,
        ),
        # Small, quick, and its weights ship with the package: see training/.
        Backbone(
            "embedded",
            INPUT_SIZE,
            WIDTHS,
            (("exposure", "features.0"), *_features(*range(len(WIDTHS)))[1:]),
            "embedded.safetensors",
            batch_norm=False,
            pretrained="embedded",
        ),
    )
}
"""The networks by name."""
