"""The repository's address stands in one place, and all that is made from it agrees; Colab and Binder."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools import colab, repository

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = repository.repository_address(ROOT)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHAPTERS = sorted(
    path for path in (ROOT / "book").glob("*.md") if path.read_text("utf-8").startswith("---\njupytext:")
)
SOME = "https://github.com/some-one/gad.core"
OTHER = "https://github.com/other/detect"


def text_of(name):
    return (ROOT / name).read_text("utf-8")


# --- one place --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "remote",
    [SOME, f"{SOME}.git", f"{SOME}/", "git@github.com:some-one/gad.core.git\n", f"ssh://git@{SOME[8:]}.git"],
)
def test_github_address_from_every_form_of_remote(remote):
    assert repository.github_address(remote) == SOME


@pytest.mark.parametrize(
    "remote",
    ["", "/srv/git/gad", "https://example.org/a/b", "https://github.com/alone", 'https://github.com/a/b"c'],
)
def test_other_remotes_have_no_address(remote):
    assert repository.github_address(remote) is None


@pytest.mark.parametrize("name", repository.COPIES)
def test_the_copies_agree_with_the_one_place(name):
    assert repository.with_address(name, text_of(name), ADDRESS) == text_of(name)


@pytest.mark.parametrize("name", repository.COPIES)
def test_an_address_is_written_replaced_and_taken_out_again(name):
    unknown = repository.with_address(name, text_of(name), None)
    assert "github.com" not in unknown
    some = repository.with_address(name, unknown, SOME)
    assert SOME in some
    other = repository.with_address(name, some, OTHER)
    assert OTHER in other
    assert "some-one" not in other
    assert repository.with_address(name, other, None) == unknown


def test_the_written_files_say_it_where_their_readers_look():
    project = tomllib.loads(repository.with_address("pyproject.toml", text_of("pyproject.toml"), SOME))
    assert project["project"]["urls"] == {"Repository": SOME}
    citation = yaml.safe_load(repository.with_address("CITATION.cff", text_of("CITATION.cff"), SOME))
    assert citation["repository-code"] == SOME
    links = re.findall(
        r"\((https://[^)]*some-one[^)]*)\)", repository.with_address("README.md", text_of("README.md"), SOME)
    )
    assert any(
        link.startswith("https://colab.research.google.com/github/some-one/gad.core/") for link in links
    )
    assert any(link.startswith("https://mybinder.org/v2/gh/some-one/gad.core/") for link in links)
    assert (ROOT / repository.FIRST_NOTEBOOK).is_file()
    assert (ROOT / ".github" / "workflows" / "test.yml").is_file()  # the badge


def test_a_file_without_the_line_for_the_address_is_refused():
    with pytest.raises(ValueError, match=r"CITATION\.cff: the line 'title: gad-core'"):
        repository.with_address("CITATION.cff", "title: another\n", SOME)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the files that hold the address."""
    for name in repository.COPIES:
        (tmp_path / name).write_text(text_of(name), "utf-8")
    monkeypatch.setattr(repository, "ROOT", tmp_path)
    return tmp_path


def test_the_command_writes_every_copy(copy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["repository.py", "git@github.com:some-one/gad.core.git"])
    assert repository.main() == 0
    assert repository.repository_address(copy) == SOME
    assert all(SOME in (copy / name).read_text("utf-8") for name in repository.COPIES)
    assert SOME in capsys.readouterr().out


def test_the_command_refuses_what_is_no_address_and_writes_nothing(copy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["repository.py", "https://example.org/a/b"])
    assert repository.main() == 2
    assert "make repository URL=" in capsys.readouterr().err
    assert all((copy / name).read_text("utf-8") == text_of(name) for name in repository.COPIES)


# --- launch buttons ---------------------------------------------------------------------------------------


def test_buttons_appear_with_an_address_only(copy):
    pytest.importorskip("sphinx", reason="needs the extra 'book'")
    spec = importlib.util.spec_from_file_location("gad_launch", ROOT / "book" / "_ext" / "gad_launch.py")
    launch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch)
    app, config = types.SimpleNamespace(srcdir=copy), types.SimpleNamespace(html_theme_options={})
    for address in [None, SOME]:
        text = repository.with_address("pyproject.toml", text_of("pyproject.toml"), address)
        (copy / "pyproject.toml").write_text(text, "utf-8")
        launch.add_links(app, config)
        if address is None:
            assert config.html_theme_options == {}
    assert config.html_theme_options["repository_url"] == SOME
    assert set(config.html_theme_options["launch_buttons"]) >= {"binderhub_url", "colab_url"}


# --- Colab ------------------------------------------------------------------------------------------------


@pytest.fixture
def on_colab(monkeypatch):
    """Pretend to be Colab; the commands that would be run."""
    commands = []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append((command, options)))
    return commands


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_first_code_cell_of_every_notebook_is_the_one_for_colab(chapter):
    cells = json.loads(chapter.with_suffix(".ipynb").read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert "".join(code[0]["source"]) == colab.install_source(ADDRESS)
    assert "remove-cell" in code[0]["metadata"]["tags"]
    assert sum("google.colab" in "".join(cell["source"]) for cell in code) == 1
    assert "google.colab" not in chapter.read_text("utf-8")


@pytest.mark.parametrize("address", [None, SOME])
def test_the_cell_does_nothing_elsewhere(address, monkeypatch, capsys):
    assert "google.colab" not in sys.modules
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a command was run"))
    names = {}
    exec(colab.install_source(address), names)
    assert set(names) == {"__builtins__", "sys"}
    assert capsys.readouterr() == ("", "")


def test_on_colab_the_cell_installs_and_leaves_numpy_and_torch_alone(on_colab, capsys):
    exec(colab.install_source(SOME), {})
    [(command, options)] = on_colab
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert options == {"check": True}
    asked = {each.name: each for each in map(Requirement, command[5:])}
    assert asked["gad-core"].url == f"git+{SOME}"
    assert asked["gad-core"].extras <= set(PROJECT["optional-dependencies"])
    for name in ("numpy", "torch", "torchvision"):
        assert str(asked[name].specifier) == f"=={importlib.metadata.version(name)}"
    assert not {"-U", "--upgrade"} & set(command)
    printed = capsys.readouterr().out
    assert all(f"{name}" in printed for name in ("Python", "gad-core", "numpy", "torch"))


def test_on_colab_a_notebook_without_address_says_what_to_do(on_colab):
    with pytest.raises(RuntimeError, match="make repository URL="):
        exec(colab.install_source(None), {})
    assert on_colab == []


def test_what_colab_installs_has_lower_bounds_only():
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebooks"]]:
        operators = {each.operator for each in Requirement(text).specifier}
        assert ">=" in operators
        assert operators <= {">=", "!="}, text


def imported(chapter):
    """Top-level packages that a chapter's cells import, those of the standard library and ours left out."""
    cells = json.loads(chapter.with_suffix(".ipynb").read_text("utf-8"))["cells"]
    trees = [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"gad_core"}


def test_every_package_that_a_chapter_imports_is_there_on_colab_and_binder():
    installed = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebooks"]
    colab_has = {Requirement(text).name for text in installed}
    conda = yaml.safe_load(text_of("environment.yml"))["dependencies"]
    binder_has = {Requirement(text).name for text in conda if isinstance(text, str)}
    binder_has |= {"torch"} & {name.removeprefix("py").removesuffix("-cpu") for name in binder_has}
    packages = set().union(*map(imported, CHAPTERS))
    assert {"numpy", "myst_nb"} <= packages  # else the cells were not understood
    for package in packages:
        names = {name.lower() for name in importlib.metadata.packages_distributions()[package]}
        assert names & colab_has, package
        assert names & binder_has, package
