"""The built book in a real browser: every page works by itself, and asks no other host for anything.

Needs `make book` and a Chromium (`GAD_CHROMIUM`, or one on PATH); without them the checks are skipped.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGES = sorted(page.relative_to(SITE).as_posix() for page in (SITE / "book").rglob("*.html"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1300, "height": 900}
SCREENSHOTS = SITE.parent / "screenshots"

pytestmark = pytest.mark.skipif(not PAGES, reason="there is no built book; run 'make book' first")


def chromium_path() -> str | None:
    named = os.environ.get("GAD_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    executable = chromium_path()
    if executable is None:
        pytest.skip("there is no Chromium on PATH; name one in GAD_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        # A launch gets a new empty profile.
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    # One folder above the site: it has to work under any path, as on GitHub Pages.
    handler = functools.partial(QuietHandler, directory=str(SITE.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{SITE.name}"
        server.shutdown()
        thread.join()


class Visit:
    """A page that was loaded to the end, with all that it asked for and complained of."""

    def __init__(self, browser, address, path, viewport):
        # A context of its own: no cache or storage of another visit.
        self.context = browser.new_context(viewport=viewport)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(f"{address}/{path}", wait_until="networkidle")
        # plotly draws after the network is idle; a figure that is never drawn fails here with its count.
        self.page.wait_for_function(
            "[...document.querySelectorAll('.plotly-graph-div')].every(f => f.querySelector('.main-svg'))"
        )

    def _hear(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def count(self, selector):
        return self.page.locator(selector).count()


@pytest.fixture(scope="module")
def visit(browser, address):
    visits = {}

    def load(path, viewport=DESK):
        key = (path, viewport["width"])
        if key not in visits:
            visits[key] = Visit(browser, address, path, viewport)
        return visits[key]

    yield load
    for each in visits.values():
        each.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_page_loads_without_complaint_or_another_host(visit, address, path):
    seen = visit(path)
    assert seen.complaints == []
    foreign = [url for url in seen.requests if not url.startswith((address, "data:", "blob:"))]
    assert foreign == []
    assert f"{address}/{path}" in seen.requests


@pytest.mark.parametrize("path", PAGES)
def test_figures_and_formulas_are_drawn(visit, path):
    seen = visit(path)
    figures = seen.count(".plotly-graph-div")
    assert seen.count(".plotly-graph-div:has(.main-svg)") == figures
    assert seen.count("figure:has(figcaption) .plotly-graph-div") == figures
    assert seen.count(".math mjx-container") >= seen.count("span.math, div.math")
    assert seen.count("mjx-merror, [data-mml-node=merror]") == 0
    # A live widget is dead in HTML; its cell is tagged remove-output.
    assert seen.count("script[type='application/vnd.jupyter.widget-view+json']") == 0
    assert seen.count("img:not([alt])") == 0


STATE = "f => JSON.stringify([f.data.map(t => [t.x, t.y, t.z, t.visible]), f.layout.shapes])"
"""What a control of a figure can change."""


@pytest.mark.parametrize("path", PAGES)
def test_each_control_changes_its_figure(visit, path):
    seen = visit(path)
    for figure in seen.page.locator(".plotly-graph-div").all():
        figure.scroll_into_view_if_needed()
        for menu in figure.locator(".updatemenu-header").all():
            before = figure.evaluate(STATE)
            menu.click()
            figure.locator(".updatemenu-dropdown-button").last.click()
            assert figure.evaluate(STATE) != before
        for rail in figure.locator(".slider-rail-touch-rect").all():
            before = figure.evaluate(STATE)
            box = rail.bounding_box()
            for place in (0.02, 0.98):  # one of them is another step than the one shown
                rail.click(position={"x": place * box["width"], "y": box["height"] / 2}, force=True)
                seen.page.wait_for_timeout(300)
                if figure.evaluate(STATE) != before:
                    break
            assert figure.evaluate(STATE) != before


def test_a_click_on_a_small_picture_shows_what_belongs_to_it(visit):
    gallery = visit("book/06_explanation.html").page.locator(".gad-gallery")
    labels, panels = gallery.locator("label").all(), gallery.locator(".panel").all()
    assert len(labels) == len(panels) > 1
    assert [panel.is_visible() for panel in panels] == [True] + [False] * (len(panels) - 1)
    labels[-1].click()
    assert [panel.is_visible() for panel in panels] == [False] * (len(panels) - 1) + [True]
    gallery.locator("input").last.press("ArrowLeft")
    assert panels[-2].is_visible()


@pytest.mark.parametrize("path", PAGES)
def test_a_picture_of_each_page_is_kept(browser, address, path):
    SCREENSHOTS.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        context = browser.new_context(viewport=DESK, color_scheme=theme)
        context.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
        page = context.new_page()
        page.goto(f"{address}/{path}", wait_until="networkidle")
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        kept = SCREENSHOTS / f"{Path(path).stem}-{theme}.png"
        page.screenshot(path=kept, full_page=True)
        assert kept.stat().st_size > 10_000
        context.close()


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_a_phone(visit, path):
    seen = visit(path, PHONE)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("path", PAGES)
def test_no_formula_and_no_label_is_cut_on_a_phone(visit, path):
    seen = visit(path, PHONE)
    wide = "ms => ms.filter(m => m.scrollWidth > m.clientWidth).map(m => m.parentElement.id)"
    assert seen.page.locator("div.math mjx-container").evaluate_all(wide) == []
    cut = """figures => figures.flatMap(figure => {
        const page = figure.getBoundingClientRect();
        const beyond = box => box.width && (box.left < page.left - 1 || box.right > page.right + 1);
        const texts = [...figure.querySelectorAll('.main-svg text')];
        return texts.filter(t => beyond(t.getBoundingClientRect())).map(t => t.textContent);
    })"""
    assert seen.page.locator(".plotly-graph-div").evaluate_all(cut) == []


def test_method_chapter_shows_a_figure_with_its_number(visit):
    seen = visit("book/01_method.html")
    assert seen.count(".plotly-graph-div .main-svg") >= 1
    assert re.match(r"Fig\. \d+", seen.page.locator("figcaption").first.inner_text())


def test_first_page_leads_to_the_book(visit):
    seen = visit("index.html")
    seen.page.wait_for_url("**/book/index.html")
    assert "anomaly detection" in seen.page.title()


def test_search_finds_a_chapter(visit):
    seen = visit("search.html?q=Mahalanobis")
    seen.page.wait_for_selector("#search-results li a")
    assert seen.complaints == []
    assert any(
        "01_method" in link
        for link in seen.page.locator("#search-results li a").evaluate_all("ls => ls.map(l => l.href)")
    )
