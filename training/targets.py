"""What the student is to learn: the teacher's maps of every training picture, on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from gad_core.backbones import get_backbone
from gad_core.files import replacing
from gad_core.runtime import computing, load_network, normalised
from gad_core.weights import resolve_weights
from training.pictures import chunk_path, chunks
from training.record import claim, read_facts

TEACHER = "efficientnet_b4"
TEACHER_LEVELS = (3, 4, 5, 6, 7)
"""Levels of the teacher, each learned by the student's level of the same stride."""
SIDES = (24, 24, 12, 12, 6)
"""Side of each level's target: that of its map for a picture of 192 pixels, but the first is halved."""
BATCH = 20
FLOAT16_LIMIT = 65000.0
"""Largest absolute value kept, below the largest of float16."""


def target_shapes() -> list[tuple[int, int, int]]:
    """Shape (channels, side, side) of each level's target."""
    widths = get_backbone(TEACHER).level_widths(TEACHER_LEVELS)
    return [(widths[level], side, side) for level, side in zip(TEACHER_LEVELS, SIDES, strict=True)]


def reduced(maps: Sequence[Tensor]) -> list[Tensor]:
    """Average maps over positions down to the sides of the targets."""
    return [functional.adaptive_avg_pool2d(m, side) for m, side in zip(maps, SIDES, strict=True)]


def split_targets(rows: Tensor) -> list[Tensor]:
    """Undo the flattening of stored targets: (b, D) to one (b, c, side, side) a level."""
    shapes = target_shapes()
    parts = rows.split([int(np.prod(shape)) for shape in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


def compute_targets(pictures: Path, folder: Path, weights: Path, device: torch.device) -> None:
    """Run the teacher on all pictures whose targets are not there yet.

    Parameters
    ----------
    pictures : pathlib.Path
        Folder of the pictures.
    folder : pathlib.Path
        Gets a file of (chunk_length, D) float16 for each file of pictures.
    weights : pathlib.Path
        The teacher's ImageNet weights.
    device : torch.device
        Where to compute.
    """
    backbone = get_backbone(TEACHER)
    given = resolve_weights(weights, backbone)
    claim(folder, {"teacher_sha256": given and given.sha256, "pictures": read_facts(pictures)})
    teacher = load_network(backbone, max(TEACHER_LEVELS), given, 0, None, device)
    missing = [
        (chunk, images)
        for chunk, images in enumerate(chunks(pictures))
        if not chunk_path(folder, chunk).is_file()
    ]
    for chunk, images in tqdm(missing, desc="targets", unit="chunk"):
        rows = np.concatenate(
            [
                _flat_targets(teacher, np.array(images[i : i + BATCH]), device)
                for i in range(0, len(images), BATCH)
            ]
        )
        with replacing(chunk_path(folder, chunk)) as temporary, temporary.open("wb") as file:
            np.save(file, rows)


def _flat_targets(teacher: nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    with computing(device):
        maps = teacher(normalised(images, device))
        levels = reduced([maps[level - 1] for level in TEACHER_LEVELS])
        flat = torch.cat([level.flatten(1) for level in levels], dim=1)
        return flat.clamp(-FLOAT16_LIMIT, FLOAT16_LIMIT).to(torch.float16).cpu().numpy()


def channel_statistics(targets: Path, files: int = 8) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard deviation of each of the teacher's channels, over positions and pictures.

    Parameters
    ----------
    targets : pathlib.Path
        Folder of targets.
    files : int
        Number of files to look at.

    Returns
    -------
    means, deviations : list of (1, c, 1, 1) torch.Tensor
        One a level.
    """
    sums: list[list[Tensor]] = []
    for _, rows in zip(range(files), chunks(targets), strict=False):
        levels = split_targets(torch.from_numpy(np.array(rows)).double())
        sums.append([torch.stack([m.mean((0, 2, 3)), (m**2).mean((0, 2, 3))]) for m in levels])
    means, deviations = [], []
    for level in zip(*sums, strict=True):
        first, second = torch.stack(level).mean(0)
        means.append(first.float()[None, :, None, None])
        deviations.append((second - first**2).clamp_min(1e-8).sqrt().float()[None, :, None, None])
    return means, deviations
