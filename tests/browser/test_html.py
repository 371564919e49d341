"""The built pages as files, which needs no browser: headings, texts of pictures, links, weight.

Needs `make book`; without it the checks are skipped.
"""

import itertools
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from tools.repository import repository_address

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
PAGES = sorted(page.relative_to(SITE).as_posix() for page in (SITE / "book").rglob("*.html"))
HEAVIEST = 1.5e6
"""Bytes of a page without what it shares with others."""
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

pytestmark = pytest.mark.skipif(not PAGES, reason="there is no built book; run 'make book' first")


class Page(HTMLParser):
    """What the checks need of a page."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.images, self.links, self.loaded, self.ids = [], [], [], [], set()
        self.figures, self.captioned = (
            [],
            [],
        )  # plotly figures with the <figure> around each; those with captions
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        inside = {name for name, _ in self.open}
        self.ids.add(found.get("id"))
        if re.fullmatch("h[1-6]", tag) and "article" in inside:
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADING and LOADING[tag] in found and found.get("rel") != "canonical":
            self.loaded.append(found[LOADING[tag]])
        around = [number for name, number in self.open if name == "figure"]
        if "plotly-graph-div" in (found.get("class") or "").split():
            self.figures.append(around[-1] if around else None)
        if tag == "figcaption" and around:
            self.captioned.append(around[-1])
        if tag not in VOID:
            self.open.append((tag, self.getpos()))

    def handle_endtag(self, tag):
        names = [name for name, _ in self.open]
        if tag in names:
            del self.open[len(names) - 1 - names[::-1].index(tag) :]


@pytest.fixture(scope="module")
def read():
    pages = {}

    def get(path):
        if path not in pages:
            pages[path] = Page((SITE / path).read_text("utf-8"))
        return pages[path]

    return get


@pytest.mark.parametrize("path", PAGES)
def test_headings_go_down_one_step_at_a_time(read, path):
    levels = read(path).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in itertools.pairwise(levels)), levels


@pytest.mark.parametrize("path", PAGES)
def test_every_picture_has_a_text_and_every_figure_a_caption(read, path):
    page = read(path)
    assert [image for image in page.images if not image.get("alt")] == []
    assert None not in page.figures
    assert set(page.figures) <= set(page.captioned)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_light(path):
    assert (SITE / path).stat().st_size < HEAVIEST


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_loaded_from_elsewhere_or_from_the_root_of_the_server(read, path):
    # From the root: that would be wrong under a sub-path, as on GitHub Pages.
    for address in read(path).loaded:
        assert not urlparse(address).scheme or address.startswith("data:"), address
        assert not address.startswith("/"), address


@pytest.mark.parametrize("path", PAGES)
def test_links_within_the_book_lead_somewhere(read, path):
    for link in read(path).links:
        target, anchor = urldefrag(link)
        if urlparse(link).scheme or link == "#":
            continue
        assert not link.startswith("/"), link
        page = SITE / path
        file = Path(os.path.normpath(page.parent / unquote(target))) if target else page
        assert file.is_file(), link
        if anchor and file.suffix == ".html":
            assert unquote(anchor) in read(file.relative_to(SITE).as_posix()).ids, link


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_code_has_the_launch_buttons_once_the_address_is_known(read, path):
    address = repository_address(ROOT)
    runs = (ROOT / path).with_suffix(".ipynb").is_file()
    for host in ("colab.research.google.com", "mybinder.org"):
        buttons = [link for link in read(path).links if urlparse(link).hostname == host]
        assert bool(buttons) == (address is not None and runs)
        assert all((ROOT / path).with_suffix(".ipynb").name in link for link in buttons)
