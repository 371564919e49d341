"""The book's sources and its Sphinx extensions; the chapters themselves are executed by `make book`."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tools import colab
from tools.repository import repository_address

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"

pytest.importorskip("jupytext", reason="needs the extra 'book'")
pytest.importorskip("sphinx", reason="needs the extra 'book'")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pairing = load(ROOT / "tools" / "pair_notebooks.py")
fresh = load(BOOK / "_ext" / "gad_fresh.py")
memory = load(BOOK / "_ext" / "gad_memory.py")
offline = load(BOOK / "_ext" / "gad_offline.py")
spacing = load(BOOK / "_ext" / "gad_spacing.py")

HEADER = """---
jupytext:
  formats: md:myst,ipynb
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

"""


def chapter(*cells):
    return HEADER + "\n\n".join(f"```{{code-cell}} ipython3\n{cell}\n```" for cell in cells) + "\n"


def cells_of(text):
    """Cells of a chapter's notebook, after the one that installs the library on Colab."""
    install, *cells = json.loads(pairing.notebook_text(text, None))["cells"]
    assert install["metadata"]["tags"] == colab.TAGS
    return cells


def cell_ids(text):
    return [cell["id"] for cell in cells_of(text)]


# --- the pages --------------------------------------------------------------------------------------------


def toc_pages():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    parts = toc.get("parts", [toc])
    return [toc["root"], *(entry["file"] for part in parts for entry in part["chapters"])]


def test_every_page_is_in_the_table_of_contents():
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in BOOK.glob("*.md")}
    assert pages == set(toc_pages())


def test_every_chapter_has_the_full_jupytext_header():
    pages_without_code = {BOOK / f"{name}.md" for name in ("index", "glossary", "references")}
    chapters = {ROOT / f"{page}.md" for page in toc_pages()} - pages_without_code
    assert not any("{code-cell}" in path.read_text("utf-8") for path in pages_without_code)
    assert chapters == set(pairing.chapters(BOOK))
    for path in chapters:
        header = yaml.safe_load(path.read_text("utf-8").split("---\n")[1])
        representation = header["jupytext"]["text_representation"]
        assert (representation["extension"], representation["format_name"]) == (".md", "myst"), path
        assert header["kernelspec"]["name"] == "python3", path


def test_every_work_of_the_bibliography_is_cited_and_every_citation_is_in_it():
    works = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8"), re.MULTILINE)
    text = "".join(page.read_text("utf-8") for page in BOOK.glob("*.md"))
    cited = {key.strip() for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", text) for key in keys.split(",")}
    assert len(works) == len(set(works)) > 5
    assert cited == set(works)


def test_figures_are_drawn_by_the_library_and_not_in_chapters():
    for path in pairing.chapters(BOOK):
        assert not re.search(r"^(import|from) plotly", path.read_text("utf-8"), re.MULTILINE), path


def test_every_notebook_is_in_sync_with_its_chapter():
    assert sorted(path.name for path in pairing.unpaired(BOOK, repository_address(ROOT))) == []
    assert pairing.orphans(BOOK) == []


def test_notebooks_hold_no_outputs():
    for path in BOOK.rglob("*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            assert cell.get("outputs", []) == [], path


# --- pairs of chapter and notebook ------------------------------------------------------------------------


def test_notebook_is_a_pure_function_of_the_chapter():
    text = chapter("a = 1", "a + 1")
    assert pairing.notebook_text(text, None) == pairing.notebook_text(text, None)
    assert [cell["source"] for cell in cells_of(text)] == [["a = 1"], ["a + 1"]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["a = 1", "b = 2", "a + b"]), min_size=1, max_size=6))
def test_cell_ids_are_unique_even_among_equal_cells(cells):
    ids = cell_ids(chapter(*cells))
    assert len(set(ids)) == len(cells)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)


def test_an_edit_changes_the_id_of_the_edited_cell_only():
    before, after = cell_ids(chapter("a = 1", "b = 2", "c = 3")), cell_ids(chapter("a = 1", "b = 4", "c = 3"))
    assert [x == y for x, y in zip(before, after, strict=True)] == [True, False, True]


def test_a_changed_chapter_and_an_orphan_are_found(tmp_path):
    source, notebook = tmp_path / "01_a.md", tmp_path / "01_a.ipynb"
    source.write_text(chapter("a = 1"), "utf-8")
    assert list(pairing.unpaired(tmp_path, None)) == [notebook]
    notebook.write_text(pairing.notebook_text(source.read_text("utf-8"), None), "utf-8")
    assert pairing.unpaired(tmp_path, None) == {}
    source.write_text(chapter("a = 2"), "utf-8")
    assert list(pairing.unpaired(tmp_path, None)) == [notebook]
    source.unlink()
    assert pairing.orphans(tmp_path) == [notebook]


def test_a_cell_that_jupyterlab_saved_into_a_chapter_is_taken_out_again(tmp_path):
    import jupytext

    source = tmp_path / "01_a.md"
    text = (
        HEADER
        + "# Title\n\n```{code-cell} ipython3\na = 1\n```\n\n```{code-cell} ipython3\n:tags: [x]\n\na\n```\n"
    )
    saved = jupytext.writes(
        jupytext.reads(pairing.notebook_text(text, "https://github.com/a/b"), "ipynb"), "md:myst"
    )
    assert "google.colab" in saved  # else this test shows nothing
    source.write_text(saved, "utf-8")
    wanted = pairing.unpaired(tmp_path, "https://github.com/a/b")
    body = wanted[source].split("---\n", 2)[2]  # jupytext writes its version into the header
    assert body == text.split("---\n", 2)[2]
    assert wanted[source.with_suffix(".ipynb")].count("google.colab") == 1


# --- figures without another host -------------------------------------------------------------------------


def rendered_figure():
    """HTML of a figure as a kernel emits it during the build."""
    import plotly.graph_objects as go
    import plotly.io as pio

    return pio.renderers["sphinx_gallery"].to_mimebundle(go.Figure(go.Scatter(y=[1, 2])).to_dict())[
        "text/html"
    ]


def test_figures_lose_their_foreign_scripts_and_nothing_else():
    html = rendered_figure()
    assert (
        len(re.findall(r"https?://[^\"]*\.js", html)) == 2
    )  # plotly.js and MathJax: else this test shows nothing
    local = offline.without_foreign_scripts(html)
    assert not re.search(r"<script[^>]*\bsrc=", local)
    assert "MathJax.Hub" not in local
    assert "Plotly.newPlot" in local
    assert 'class="plotly-graph-div"' in local
    assert offline.without_foreign_scripts(local) == local


def test_html_without_a_figure_is_left_alone():
    html = '<script src="https://example.org/x.js"></script><b>text</b>'
    assert offline.without_foreign_scripts(html) == html


# --- percent signs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [("of 5 %.", "of 5\xa0%."), (" % of", "\xa0% of"), ("in %", "in %"), ("5 %, 95 %", "5\xa0%, 95\xa0%")],
)
def test_a_percent_sign_stays_with_its_number(text, kept):
    assert spacing.kept_together(text) == kept


def test_code_and_formulas_stay_as_they_are_written():
    from docutils import nodes
    from docutils.utils import new_document

    document, parts = new_document("page"), [nodes.emphasis, nodes.literal, nodes.math]
    document += [part("", "5 %") for part in parts]
    spacing.KeepPercentSigns(document).apply()
    assert [part.astext() for part in document] == ["5\xa0%", "5 %", "5 %"]


# --- a cache that knows the library -----------------------------------------------------------------------


@pytest.fixture
def small_repository(tmp_path):
    (tmp_path / "gad_core" / "data").mkdir(parents=True)
    (tmp_path / "gad_core" / "a.py").write_text("A = 1\n")
    (tmp_path / "gad_core" / "data" / "x.npz").write_bytes(b"123")
    (tmp_path / "requirements.lock").write_text("numpy==1.26.0\n")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["gad_core/a.py", "gad_core/data/x.npz", "requirements.lock", "gad_core/new.py"]
)
def test_key_changes_with_code_data_and_lock(small_repository, name):
    before = fresh.dependency_key(small_repository)
    assert fresh.dependency_key(small_repository) == before
    (small_repository / name).write_text("changed\n")
    assert fresh.dependency_key(small_repository) != before


def test_key_changes_when_a_file_is_renamed_or_data_come_from_elsewhere(small_repository, monkeypatch):
    keys = {fresh.dependency_key(small_repository)}
    (small_repository / "gad_core" / "a.py").rename(small_repository / "gad_core" / "b.py")
    keys.add(fresh.dependency_key(small_repository))
    monkeypatch.setenv("GAD_DATA", "elsewhere")
    keys.add(fresh.dependency_key(small_repository))
    assert len(keys) == 3


def test_key_ignores_bytecode_and_other_files(small_repository):
    before = fresh.dependency_key(small_repository)
    (small_repository / "gad_core" / "__pycache__").mkdir()
    (small_repository / "gad_core" / "__pycache__" / "a.pyc").write_bytes(b"0")
    (small_repository / "README.md").write_text("text")
    assert fresh.dependency_key(small_repository) == before


class FakeApp:
    def __init__(self, root):
        self.srcdir, self.outdir = root, root / "_build" / "html"


class FakeConfig:
    def __init__(self):
        self.nb_execution_cache_path, self.gad_dependency_key = "", ""


def test_cache_of_another_state_is_removed(small_repository):
    config = FakeConfig()
    fresh.choose_cache(FakeApp(small_repository), config)
    first = Path(config.nb_execution_cache_path)
    first.mkdir(parents=True)
    fresh.choose_cache(FakeApp(small_repository), config)
    assert first.is_dir()
    (small_repository / "gad_core" / "a.py").write_text("A = 2\n")
    fresh.choose_cache(FakeApp(small_repository), config)
    assert not first.exists()
    assert Path(config.nb_execution_cache_path).name == config.gad_dependency_key != first.name


# --- memory of the kernels --------------------------------------------------------------------------------


def test_peak_of_children_is_that_of_the_largest_process():
    # In a process of its own: this one may have had larger children.
    code = f"""
import importlib.util, subprocess, sys
spec = importlib.util.spec_from_file_location("memory", {str(BOOK / "_ext" / "gad_memory.py")!r})
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)
for megabytes in [300, 1]:
    subprocess.run([sys.executable, "-c", f"b = bytearray({{megabytes}} * 10**6); b[::1000] = b[::1000]"])
    print(memory.peak_of_children())
"""
    first, second = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert 300e6 < first < 400e6
    assert second == first


def test_only_the_page_that_went_beyond_the_limit_fails(monkeypatch):
    peaks = {"book/a": 0.5e9, "book/b": 1.6e9, "book/c": 1.6e9, "book/d": 1.7e9}
    complaints = []
    monkeypatch.setattr(memory.logger, "warning", lambda *_, location, **__: complaints.append(location))
    watch = memory.MemoryWatch(memory.LIMIT)
    for page, peak in peaks.items():
        monkeypatch.setattr(memory, "peak_of_children", lambda peak=peak: peak)
        watch.after_page(SimpleNamespace(env=SimpleNamespace(docname=page)), None)
    assert complaints == ["book/b", "book/d"]
    assert memory.LIMIT == 1.5e9


def test_the_build_watches_the_memory():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["sphinx"]
    for path in (BOOK / "_ext").glob("*.py"):
        assert path.stem in settings["local_extensions"]
        assert path.stem in settings["config"]["extensions"]
