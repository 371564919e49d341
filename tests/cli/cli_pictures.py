"""Small pictures and a small network for tests of the command line."""

from pathlib import Path

import numpy as np
from PIL import Image

NETWORK = ["--backbone", "squeezenet1_1", "--weights", "random", "--levels", "1-3", "--quiet"]


def picture(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    waves = np.sin(x / rng.uniform(2, 4))[..., None] * 60 + np.cos(y / 5)[..., None] * 40 + 120
    return Image.fromarray(
        (waves + rng.normal(scale=9, size=(size[1], size[0], 3))).clip(0, 255).astype("u1")
    )


def put(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        picture(i).save(folder / f"{i:03}.png")
    return folder
