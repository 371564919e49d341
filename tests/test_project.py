"""The project's own files: lock, environments and metadata agree, and nothing foreign is tracked."""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from PIL import Image

import gad_core

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
CONDA_NAMES = {"pytorch-cpu": "torch"}
CATEGORIES = {
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw"),
    *("tile", "toothbrush", "transistor", "wood", "zipper"),
}
LICENCES = {"BSD-3-Clause": "LICENSE", "CC-BY-NC-SA-4.0": "gad_core/data/features/CC-BY-NC-SA-4.0.txt"}
"""Licences of what ships, with their texts."""
IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LARGE = 1_500_000  # bytes


def lock_entries():
    """Requirement of each entry of the lock, with its number of hashes."""
    joined = re.sub(r"\\\n\s*", " ", LOCK)
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return [(Requirement(line.split(" --hash=")[0].strip()), line.count(" --hash=sha256:")) for line in lines]


def pins():
    """Name -> versions that the lock pins; more than one where markers choose."""
    found = {}
    for requirement, _ in lock_entries():
        version = str(requirement.specifier).removeprefix("==")
        found.setdefault(canonicalize_name(requirement.name), []).append(Version(version))
    return found


def declared():
    """Every dependency of pyproject.toml, those of all extras and of the build included."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *extras, *build]]


def conda_requirements():
    """Name on the package registry -> requirement, of environment.yml."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    requirements = [Requirement(entry) for entry in entries if isinstance(entry, str)]
    return {CONDA_NAMES.get(each.name, canonicalize_name(each.name)): each for each in requirements}


# --- requirements.lock ------------------------------------------------------------------------------------


def test_every_entry_of_the_lock_is_pinned_and_hashed():
    entries = lock_entries()
    assert len(entries) > 100  # else the lock was not understood
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes > 0, requirement


def test_lock_names_no_index_and_no_file():
    assert not re.search(
        r"://|file:|--(extra-)?index-url|--find-links|--trusted-host", LOCK.replace("--no-emit-", "")
    )
    assert all(requirement.url is None for requirement, _ in lock_entries())


def test_lock_is_the_one_that_make_lock_writes():
    command = re.search(r"uv pip compile (.*)", LOCK)[1].split()
    options = {word for word in command if word.startswith("--")}
    assert options >= {"--universal", "--generate-hashes", "--all-extras", "--no-emit-index-url"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(option in makefile for option in options)


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_every_dependency_is_locked_within_its_range(requirement):
    versions = pins().get(canonicalize_name(requirement.name), [])
    assert versions
    assert all(requirement.specifier.contains(version) for version in versions)


def test_locked_torch_and_torchvision_are_a_matched_pair():
    (torch,), (torchvision,) = pins()["torch"], pins()["torchvision"]
    assert torch != Version("2.13.0")  # its torchvision on some registries does not load
    if metadata.version("torchvision") != str(torchvision):
        pytest.skip("the installed torchvision is not the locked one")
    needed = [Requirement(text) for text in metadata.requires("torchvision")]
    assert [torch in each.specifier for each in needed if each.name == "torch"] == [True]


def test_installed_torchvision_finds_its_operators_in_torch():
    # A pair that does not match fails here or at the import: "operator torchvision::nms does not exist".
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9], [5.0, 5.0, 6.0, 6.0]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


# --- the other descriptions of the same thing -------------------------------------------------------------


def test_conda_environment_has_the_runtime_dependencies_in_the_same_ranges():
    conda = conda_requirements()
    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        assert conda[canonicalize_name(wanted.name)].specifier == wanted.specifier, wanted


def test_the_rest_of_the_conda_environment_agrees_with_the_extras():
    conda = conda_requirements()
    ranges = {canonicalize_name(each.name): each.specifier for each in declared()}
    for name in set(conda) - {"python", "pip"}:
        assert conda[name].specifier == ranges[name], name


def test_conda_environment_installs_this_package_for_the_supported_python():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["name"] == "gad"
    assert {"pip": ["-e ."]} in environment["dependencies"]
    python = conda_requirements()["python"].specifier
    supported = SpecifierSet(PROJECT["requires-python"])
    listed = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)}
    assert {f"3.{minor}" for minor in range(30) if f"3.{minor}.5" in python} == listed
    assert all(f"{version}.0" in supported for version in listed)


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == gad_core.__version__
    code, _ = PROJECT["license"].split(" AND ")
    assert citation["license"] == code  # a list would mean "or"
    assert all(each in citation["abstract"] for each in LICENCES)
    assert citation["preferred-citation"]["doi"] == "10.1109/TIM.2021.3098381"
    assert "10.1109/TIM.2021.3098381" in (ROOT / "book" / "references.bib").read_text("utf-8")


def test_the_licences_are_named_and_their_texts_ship():
    assert PROJECT["license"] == " AND ".join(LICENCES)
    assert {*LICENCES.values(), "gad_core/data/features/LICENSE"} == set(PROJECT["license-files"])
    assert "BSD 3-Clause License" in (ROOT / LICENCES["BSD-3-Clause"]).read_text("utf-8")
    legal_code = (ROOT / LICENCES["CC-BY-NC-SA-4.0"]).read_text("utf-8")
    assert legal_code.startswith("Attribution-NonCommercial-ShareAlike 4.0 International\n")
    sections = [line.split()[1] for line in legal_code.splitlines() if line.startswith("Section ")]
    assert sections == list("12345678")  # the whole legal code
    assert PROJECT["license"] in README


def test_every_file_of_data_is_under_a_licence_that_the_package_names():
    files = json.loads((ROOT / "gad_core" / "data" / "manifest.json").read_text("utf-8"))["files"]
    for name, entry in files.items():
        if entry["licence"].startswith("CC BY-NC-SA 4.0"):
            assert (ROOT / "gad_core" / "data" / "features" / "LICENSE").is_file()
        else:
            assert entry["licence"].startswith(("BSD-3-Clause", "facts")), name


# --- README -----------------------------------------------------------------------------------------------

README = (ROOT / "README.md").read_text("utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
GAD_LINES = re.findall(r"^\$ gad ([^#\n]*)", README, re.MULTILINE)


@pytest.mark.parametrize("line", GAD_LINES)
def test_commands_of_the_readme_are_understood(line):
    parser = pytest.importorskip(
        "gad_core.cli.parser", reason="this version has no command line"
    ).build_parser()
    parser.parse_args(line.split())


def test_python_of_the_readme_is_valid_and_runs_where_it_needs_no_data_set(tmp_path, monkeypatch):
    extractor = gad_core.FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 2], size=32)
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    detector = gad_core.GaussianDetector(extractor.level_widths).fit(extractor.transform(images))
    monkeypatch.chdir(tmp_path)
    detector.save("bottle.safetensors", extractor)
    Image.fromarray(images[0]).save("new.png")
    assert len(PYTHON_BLOCKS) == 4
    for block in PYTHON_BLOCKS:
        code = compile(block, "README.md", "exec")
        if "ROOT" not in block:
            exec(code, {})


def test_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    documents = README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", documents)) <= targets


# --- what is in the repository ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked():
    """Files that git tracks or would add."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [Path(name) for name in names if name and (ROOT / name).is_file()]
    assert Path("pyproject.toml") in paths
    return paths


def manifest_words():
    """Every string of the manifests of shipped data: names, sums, licences."""

    def words(value):
        if isinstance(value, dict):
            return {*value, *(word for each in value.values() for word in words(each))}
        if isinstance(value, list):
            return {word for each in value for word in words(each)}
        return {value} if isinstance(value, str) else set()

    manifests = (ROOT / "gad_core" / "data").glob("manifest*.json")
    return {word for path in manifests for word in words(json.loads(path.read_text("utf-8")))}


def test_images_are_the_book_s_own_drawings(tracked):
    images = [path for path in tracked if path.suffix.lower() in IMAGE_SUFFIXES]
    outside = [path for path in images if path.parts[:2] != ("book", "_static")]
    assert outside == []
    named = [path for path in images if any(category in path.as_posix() for category in CATEGORIES)]
    assert named == []


def test_no_data_set_or_weights_of_others_are_tracked(tracked):
    folders = [path for path in tracked if {"ground_truth", *CATEGORIES} & set(path.parts[:-1])]
    assert folders == []
    weights = [path for path in tracked if path.suffix in {".pth", ".pt", ".ckpt", ".onnx", ".safetensors"}]
    assert [path for path in weights if path.parts[:2] != ("gad_core", "data")] == []


def test_a_large_file_stands_in_the_manifest(tracked):
    large = [path for path in tracked if (ROOT / path).stat().st_size > LARGE]
    words = manifest_words() if large else set()
    data = "gad_core/data/"  # the manifest's names are relative to it
    unknown = [path for path in large if path.as_posix().removeprefix(data) not in words]
    assert unknown == []


def test_no_pickle_is_read_or_written(tracked):
    for path in tracked:
        if path.suffix == ".py" and path.parts[0] == "gad_core":
            code = (ROOT / path).read_text("utf-8")
            assert not re.search(
                r"import c?[Pp]ickle|joblib\.(dump|load)\b|allow_pickle=True|weights_only=False", code
            ), path


# --- import -----------------------------------------------------------------------------------------------


def seconds(*arguments):
    """The shortest of five runs of a fresh interpreter; the shortest is the least disturbed."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return min(times)


def test_import_is_quick():
    assert seconds("-c", "import gad_core") - seconds("-c", "pass") < 0.3


def test_import_loads_no_heavy_package():
    code = "import gad_core, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert "gad_core" in loaded.stdout.split()
    assert not {"torch", "torchvision", "plotly", "sklearn", "ipywidgets"} & set(loaded.stdout.split())
