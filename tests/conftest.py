"""Fixtures that several test modules use."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# The matrices of the tests are small: threads inside a product only wait for each other, most of all where
# test processes share the processors. Read by the linear algebra when it is loaded, so before all else.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import pytest
from served import Server

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


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server of one file."""
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No proxy, no waiting; gives the pauses that were asked for."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole commands are slow: each of them imports torch."""
    for item in items:
        if item.path.parent.name == "cli":
            item.add_marker(pytest.mark.slow)
