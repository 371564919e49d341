"""What tests of the command line share: images, a cache, and how a command is run."""

from pathlib import Path

import pytest
from cli_pictures import put
from PIL import Image

from gad_core.cli import main


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def environment(shared_cache, monkeypatch):
    """No data set, and one cache for all tests: most of them look at the same images."""
    monkeypatch.setenv("GAD_CACHE", str(shared_cache))
    monkeypatch.delenv("GAD_DATA", raising=False)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, empty at first."""
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """A data set: the category nut with test images, own without."""
    root = tmp_path_factory.mktemp("data")
    put(root / "nut/train/good", 24)
    put(root / "nut/test/good", 6, first=100)
    broken = put(root / "nut/test/hole", 6, first=200)
    for path in broken.iterdir():
        image = Image.open(path)
        image.paste((0, 0, 0), (10, 10, 22, 24))
        image.save(path)
    put(root / "own/train/good", 5)
    return root


@pytest.fixture
def run(capsys):
    def run(*argv: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in argv])
        except SystemExit as stop:  # argparse's own errors
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(run):
    """Run a command that must fail with status 2 and exactly one line, and give the line."""

    def refused(*argv: object) -> str:
        status, _, err = run(*argv)
        assert status == 2, err
        assert err.count("\n") == 1, err
        assert err.startswith("gad: error: ")
        return err

    return refused
