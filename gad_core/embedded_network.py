"""The network of the embedded backbone: a small residual network in plain torch.

Five levels with the strides of EfficientNet-B4's levels 3 to 7, which it was taught to imitate (`training/`).
All convolutions are dense ones, which a CPU computes near the rate of a matrix product; depthwise ones, which
save multiplications, run far below it. In front of them each image is brought to one brightness, so that the
features do not depend on the exposure.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from gad_core.images import MEAN, STD

if TYPE_CHECKING:
    from torch import nn

INPUT_SIZE = 380
STEM_WIDTH = 16
WIDTHS = (32, 64, 128, 128, 256)
"""Number of channels of each level."""
STRIDES = (2, 2, 2, 1, 2)
"""Step of each level's first convolution; the stem before level 1 has another 2."""
BLOCKS = (1, 1, 1, 2, 1)
"""Number of residual blocks of each level."""
BRIGHTNESS = 0.45
"""Mean to which each image is brought, of a range of 0 to 1: about ImageNet's."""
DARKEST = 0.02
"""A mean below it counts as this, so that the noise of a black image is not blown up."""


def embedded_network(normalise: bool = False) -> nn.Module:
    """Build the network with freshly drawn parameters.

    Parameters
    ----------
    normalise : bool
        Put a batch norm behind each convolution, for training; `training.export` folds them into the
        convolutions, so that the network in use has none.

    Returns
    -------
    torch.nn.Module
        With a module ``exposure`` and a module ``features``, a sequence of the five levels; level k's map is
        the output of ``features[k - 1]``.
    """
    return _network_class()(normalise)


@functools.cache
def _network_class() -> Any:
    """Give the network's class; made on first use, so that this module imports without torch."""
    import torch
    from torch import Tensor, nn

    def convolution(inputs: int, outputs: int, kernel: int, stride: int, normalise: bool) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=not normalise)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is None:
            return nn.Sequential(conv, nn.BatchNorm2d(outputs))
        nn.init.zeros_(conv.bias)
        return nn.Sequential(conv)

    class EqualExposure(nn.Module):
        """Multiply each normalised image so that the mean of its pixels and colours is `BRIGHTNESS`."""

        def forward(self, images: Tensor) -> Tensor:
            mean, std = (images.new_tensor(values) for values in (MEAN, STD))
            light = (images.mean((2, 3)) * std + mean).mean(1)
            gain = (BRIGHTNESS / light.clamp_min(DARKEST))[:, None, None, None]
            # Of the pixel u = images * std + mean, (gain * u - mean) / std, in one pass over the image.
            return torch.addcmul((gain - 1) * (mean / std)[:, None, None], images, gain)

    class Residual(nn.Module):
        """Two convolutions whose result is added to their input."""

        def __init__(self, width: int, normalise: bool) -> None:
            super().__init__()
            self.first = convolution(width, width, 3, 1, normalise)
            self.second = convolution(width, width, 3, 1, normalise)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(x + self.second(self.relu(self.first(x))))

    class Network(nn.Module):
        """A stem and five levels."""

        def __init__(self, normalise: bool) -> None:
            super().__init__()
            relu = nn.ReLU(inplace=True)
            levels, layers = [], [convolution(3, STEM_WIDTH, 5, 2, normalise), relu]
            inputs = STEM_WIDTH
            for width, stride, blocks in zip(WIDTHS, STRIDES, BLOCKS, strict=True):
                if stride > 1 or width != inputs:
                    layers += [convolution(inputs, width, 3, stride, normalise), relu]
                layers += [Residual(width, normalise) for _ in range(blocks)]
                levels.append(nn.Sequential(*layers))
                layers, inputs = [], width
            self.exposure = EqualExposure()
            self.features = nn.Sequential(*levels)

        def forward(self, images: Tensor) -> Tensor:
            return self.features(self.exposure(images))

    return Network
