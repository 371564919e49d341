"""Images, and what one process makes of them."""

import numpy as np
import pytest
from fits import N, detector, extractor, state, stub_decoder
from PIL import Image

from gad_core.distributed import connected, fit_images
from gad_core.threads import limited_threads


@pytest.fixture(scope="package")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(N):
        smooth = np.kron(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), np.ones((6, 6, 1), np.uint8))
        Image.fromarray(smooth).save(folder / f"{i:03}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="package")
def damaged(paths, tmp_path_factory):
    """The same images, but the first, one in the middle and the last cannot be read."""
    folder = tmp_path_factory.mktemp("damaged")
    images = [folder / path.name for path in paths]
    for path, image in zip(paths, images, strict=True):
        image.write_bytes(path.read_bytes())
    images[0].write_bytes(b"no image")
    images[100].write_bytes(paths[100].read_bytes()[:200])
    images[-1].write_bytes(b"")
    return images


@pytest.fixture(scope="package")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    with pytest.MonkeyPatch.context() as patch:
        stub_decoder(tmp_path_factory.mktemp("stub"), patch)
        with connected("local:2") as on_cluster:
            on_cluster.client.wait_for_workers(2)
            yield on_cluster


@pytest.fixture(scope="package")
def features(paths):
    with limited_threads(1):
        return extractor().transform(paths)


@pytest.fixture(scope="package")
def alone(paths):
    return state(fit_images(detector(), extractor(), paths).detector)


@pytest.fixture
def few(paths, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for path in paths[:12]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
