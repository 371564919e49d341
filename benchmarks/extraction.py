"""From image files to features: ours against eager torch, for several networks and image sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import plain
from benchmarks.timing import Comparison, compare
from gad_core import FeatureExtractor
from gad_core.backbones import get_backbone

SHARED_WEIGHTS = Path(__file__).resolve().parents[2] / "shared" / "weights"
CASES = (
    # network, deepest level, pixels of the image files
    ("efficientnet_b4", 7, 380),
    ("efficientnet_b4", 7, 900),
    ("efficientnet_b0", 9, 900),
    ("resnet18", 5, 900),
    ("wide_resnet50_2", 5, 900),
    ("squeezenet1_1", 9, 900),
    ("mobilenet_v3_large", 7, 900),
    ("convnext_tiny", 5, 900),
)
IMAGES = 24


def write_images(folder: Path, count: int, pixels: int, seed: int = 0) -> list[Path]:
    """Write PNG files that cost as much to decode as photographs: smooth shapes with sensor noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:pixels, :pixels] / pixels
    paths = []
    for i in range(count):
        base = 120 + 80 * np.sin(6 * x + i)[..., None] * np.cos(
            4 * y + np.arange(3)[:, None, None]
        ).transpose(1, 2, 0)
        noisy = base + rng.normal(scale=3, size=(pixels, pixels, 3))
        paths.append(folder / f"{i:03}.png")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def extraction() -> Iterator[Comparison]:
    """Compare end to end for each case; both ways include loading the network."""
    with tempfile.TemporaryDirectory() as folder:
        files = {p: write_images(_made(Path(folder) / str(p)), IMAGES, p) for p in {c[2] for c in CASES}}
        for name, depth, pixels in CASES:
            yield _case(name, depth, files[pixels], pixels)


def embedded() -> Iterator[Comparison]:
    """Compare the embedded network with EfficientNet-B4, levels 1 to 7, both from the same 380 px files."""
    given = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
    if not given.is_file():
        print("embedded against efficientnet_b4: skipped, because ../shared/weights is not here")
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), IMAGES, 380)
        large = FeatureExtractor("efficientnet_b4", given, range(1, 8), progress=False)
        small = FeatureExtractor("embedded", progress=False)
        for extractor in (large, small):
            extractor.transform(paths[:1])  # loading is not what is compared
        yield compare(
            "embedded instead of efficientnet_b4 1-7, 380 px PNG",
            lambda: large.transform(paths), lambda: small.transform(paths), target=8, pairs=5,
        )  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _case(name: str, depth: int, paths: list[Path], pixels: int) -> Comparison:
    weights = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
    given = weights if name == "efficientnet_b4" and weights.is_file() else None
    size = get_backbone(name).input_size
    fresh = _uncalibrated(name, depth)

    def ours() -> np.ndarray:
        extractor = FeatureExtractor(name, given or "random", range(1, depth + 1), progress=False)
        if given is None:  # calibration is a cost that the plain way does not have
            extractor.set_calibration(fresh)
        extractor.runtime = "torch"  # OpenVINO has a part of its own, "pipeline"
        return extractor.transform(paths)

    def usual() -> np.ndarray:
        return plain.extract(name, given, size, depth, paths)

    expected = usual()
    error = np.max(np.abs(ours() - expected)) / np.max(np.abs(expected))
    # Of a resized image up to three pixels, exactly between two values, are rounded the other way.
    assert error < (1e-5 if pixels == size else 1e-3), f"{name}: features differ by {error:.1e}"
    return compare(f"{name} 1-{depth}, {size} px, from {pixels} px PNG", usual, ours, target=1, pairs=3)


def _uncalibrated(name: str, depth: int) -> dict[str, np.ndarray] | None:
    """Statistics of a fresh network, which the plain way uses as they are."""
    state = plain.plain_network(name, None, depth).state_dict()
    found = {k: v.numpy() for k, v in state.items() if k.endswith(("running_mean", "running_var"))}
    return found or None
