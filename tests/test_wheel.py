"""The wheel: what is in it, and that it works without the source tree. Needs no network."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import gad_core

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

for module in ("build", "hatchling"):
    pytest.importorskip(module, reason="needs the extra 'dev'")


def clean_environment():
    """The environment without what could lead Python to the source tree or pip to a registry."""
    names = {name for name in os.environ if name.startswith(("PYTHON", "PIP_"))}
    return {name: value for name, value in os.environ.items() if name not in names} | {"PYTHONSAFEPATH": "1"}


def run(*command, cwd):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bare_python(wheel, tmp_path_factory):
    """An environment with the wheel; its dependencies are those of this environment, behind a `.pth` file.

    A folder that a `.pth` file adds is searched last, and the `.pth` files inside it are not followed: so the
    editable installation of this environment stays out of reach.
    """
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    run(*pip, "--disable-pip-version-check", wheel, cwd=folder)
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    here = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (Path(purelib) / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n", "utf-8")
    return python


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def source_files():
    files = (path for path in (ROOT / "gad_core").rglob("*") if path.is_file())
    ignored = {"__pycache__", "units"}  # by git too: compiled code, finished work of gad reproduce
    return {path.relative_to(ROOT).as_posix() for path in files if not ignored & {*path.parts}}


def test_wheel_holds_the_package_and_nothing_else(wheel):
    metadata = f"gad_core-{gad_core.__version__}.dist-info/"
    package = {name for name in names(wheel) if not name.startswith(metadata)}
    assert package == source_files()
    assert "gad_core/py.typed" in package
    licences = {name for name in names(wheel) if name.startswith(f"{metadata}licenses/")}
    assert licences == {f"{metadata}licenses/{name}" for name in PROJECT["license-files"]}


def test_wheel_is_for_every_platform_and_small(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 60_000_000  # what a package registry takes without a request is 100 MB


def test_metadata_name_version_python_and_command(wheel):
    metadata = f"gad_core-{gad_core.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        header = Parser().parsestr(archive.read(f"{metadata}/METADATA").decode())
        entry_points = archive.read(f"{metadata}/entry_points.txt").decode()
    assert (header["Name"], header["Version"]) == ("gad-core", gad_core.__version__)
    assert header["Requires-Python"] == ">=3.11"
    assert header["License-Expression"] == PROJECT["license"]
    assert set(header.get_all("License-File")) == set(PROJECT["license-files"])
    assert header.get_payload().startswith("# ")  # the README
    assert "gad = gad_core.cli:main" in entry_points


def test_installed_package_is_the_wheel_s(bare_python, tmp_path):
    where = run(bare_python, "-c", "import gad_core; print(gad_core.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(bare_python.parents[1])
    assert not Path(where).is_relative_to(ROOT)


def test_installed_package_computes(bare_python, tmp_path):
    code = """
import numpy as np, gad_core as gad
X = np.random.default_rng(0).normal(size=(20, 3))
detector = gad.GaussianDetector(covariance="empirical").fit(X)
print(round(float(np.mean(detector.mahalanobis(X) ** 2)), 6))
"""
    assert run(bare_python, "-c", code, cwd=tmp_path).split() == ["3.0"]


@pytest.mark.skipif(
    importlib.util.find_spec("gad_core.cli") is None, reason="this version has no command line"
)
@pytest.mark.parametrize("arguments", [["--help"], ["info"]])
def test_installed_command_works(bare_python, tmp_path, arguments):
    command = bare_python.with_name("gad.exe" if os.name == "nt" else "gad")
    output = run(command, *arguments, cwd=tmp_path)
    assert gad_core.__version__ in output if arguments == ["info"] else "evaluate" in output
