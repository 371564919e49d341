"""Fixtures that several test modules use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real MVTec AD images and ImageNet weights; never part of the repository."""
    if not (SHARED / "mvtec").is_dir():
        pytest.skip("the folder ../shared with real MVTec AD images and weights is not here")
    return SHARED


@pytest.fixture(scope="session")
def b4_weights(shared: Path) -> Path:
    """ImageNet weights of EfficientNet-B4, levels 1 to 7."""
    return shared / "weights" / "efficientnet_b4_levels1-7.safetensors"
