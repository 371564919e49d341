"""Sphinx extension: plotly figures and formulas from the book's own `_static`, no other host.

A headless kernel emits plotly figures in a MIME type that myst-nb drops; the renderer `sphinx_gallery` emits
HTML instead, but lets it fetch plotly.js and MathJax from the internet. The tags that do so are taken out of
each page, and the plotly.js of the installed plotly is served in their place, only on pages with a figure.
MathJax comes from the package sphinx-mathjax-offline.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.fileutil import copy_asset_file

PLOTLY_JS = "plotly.min.js"
FIGURE_MARK = "plotly-graph-div"

# SVG output needs no font files, which a browser may refuse to a page opened as a file.
MATHJAX = "mathjax/tex-svg.js"

# What `plotly.io.to_html(include_plotlyjs="cdn", include_mathjax="cdn")` puts before a figure.
_FOREIGN_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="https?://[^"]*"[^>]*>\s*</script>')
_MATHJAX_SETTINGS = re.compile(r"<script[^>]*>\s*if \(window\.MathJax[^<]*</script>")


def without_foreign_scripts(html: str) -> str:
    """Remove from a figure's HTML the script tags that load from another host.

    Parameters
    ----------
    html : str
        HTML of one cell output.

    Returns
    -------
    str
        The same without those tags; HTML without a plotly figure is returned as it is.
    """
    if FIGURE_MARK not in html:
        return html
    return _MATHJAX_SETTINGS.sub("", _FOREIGN_SCRIPT.sub("", html))


class LocalFigures(SphinxPostTransform):
    """Take foreign script tags out of every figure of a page."""

    # After myst-nb has chosen one MIME type for each output (priority 4).
    default_priority = 800

    def run(self, **_: Any) -> None:
        """Rewrite the page's raw HTML in place."""
        for node in self.document.findall(nodes.raw):
            html = node.astext()
            local = without_foreign_scripts(html)
            if local != html:
                node.replace_self(nodes.raw("", local, format=node["format"]))


def add_plotly(
    app: Sphinx, _page: str, _template: str, _context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load plotly.js on a page that shows a figure."""
    if doctree is not None and any(FIGURE_MARK in node.astext() for node in doctree.findall(nodes.raw)):
        app.add_js_file(PLOTLY_JS)


def copy_plotly(app: Sphinx, exception: Exception | None) -> None:
    """Put the plotly.js that belongs to the installed plotly into `_static`."""
    if exception is None and app.builder.format == "html":
        import plotly

        source = Path(plotly.__file__).parent / "package_data" / PLOTLY_JS
        copy_asset_file(source, Path(app.outdir) / "_static" / PLOTLY_JS)


def use_local_mathjax(_app: Sphinx, config: Config) -> None:
    """Choose the MathJax file; sphinx-mathjax-offline has copied all of them."""
    config.mathjax_path = MATHJAX


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    os.environ["PLOTLY_RENDERER"] = "sphinx_gallery"  # inherited by the kernels
    app.setup_extension("sphinx-mathjax-offline")
    app.add_post_transform(LocalFigures)
    app.connect("config-inited", use_local_mathjax)
    app.connect("html-page-context", add_plotly)
    app.connect("build-finished", copy_plotly)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
