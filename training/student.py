"""The student in training: the embedded network with batch norms, and a head for each of the two routes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from gad_core.embedded_network import WIDTHS, embedded_network
from training.targets import channel_statistics, reduced, split_targets, target_shapes

TARGET_LIMIT = 8.0
"""Standard deviations beyond which a target is cut: a few of the teacher's values are far out."""
POOLED_WEIGHT = 2.0
"""Weight of the error of the averages over positions, which are what the Gaussian is fitted to."""


def level_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Compute the maps of all levels of the student, for pictures of whatever exposure they have."""
    maps, x = [], images
    for level in network.features:  # type: ignore[union-attr]
        x = level(x)
        maps.append(x)
    return maps


class Distillation(nn.Module):
    """Predict the teacher's standardised maps from the student's by one 1 x 1 convolution a level.

    Parameters
    ----------
    targets : pathlib.Path
        Folder of targets, for the statistics of the teacher's channels.
    """

    def __init__(self, targets: Path) -> None:
        super().__init__()
        self.network = embedded_network(normalise=True)
        channels = [shape[0] for shape in target_shapes()]
        self.heads = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(WIDTHS, channels, strict=True))
        means, deviations = channel_statistics(targets)
        for i, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
            self.register_buffer(f"mean{i}", mean)
            self.register_buffer(f"deviation{i}", deviation)

    def forward(self, images: Tensor, rows: Tensor) -> tuple[Tensor, list[float]]:
        """Loss of a batch, and the mean squared error of each level's maps.

        Parameters
        ----------
        images : (b, 3, s, s) torch.Tensor
            Normalised pictures.
        rows : (b, D) torch.Tensor
            Their stored targets.
        """
        maps = reduced(level_maps(self.network, images))
        errors, pooled = [], []
        for i, (x, head, raw) in enumerate(zip(maps, self.heads, split_targets(rows), strict=True)):
            target = ((raw - getattr(self, f"mean{i}")) / getattr(self, f"deviation{i}")).clamp(
                -TARGET_LIMIT, TARGET_LIMIT
            )
            found = head(x)
            errors.append(functional.mse_loss(found, target))
            pooled.append(functional.mse_loss(found.mean((2, 3)), target.mean((2, 3))))
        loss = torch.stack(errors).mean() + POOLED_WEIGHT * torch.stack(pooled).mean()
        return loss, [e.item() for e in errors]


class Classification(nn.Module):
    """Tell the styles of the pictures apart from the averages of the last level.

    Parameters
    ----------
    styles : int
        Number of classes.
    """

    def __init__(self, styles: int) -> None:
        super().__init__()
        self.network = embedded_network(normalise=True)
        self.head = nn.Linear(WIDTHS[-1], styles)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, list[float]]:
        """Cross-entropy of a batch with labels (b,), and its share of errors."""
        scores = self.head(level_maps(self.network, images)[-1].mean((2, 3)))
        loss = functional.cross_entropy(scores, labels, label_smoothing=0.1)
        return loss, [(scores.argmax(1) != labels).float().mean().item()]
