"""Sphinx extension: a chapter whose kernel takes more memory than a small machine has fails the build.

The operating system keeps the largest peak among all processes that a build has started and that have
ended. It is read after each page; when it has grown beyond the limit, the kernel of that page did it. The
peak is that of one process, without the worker processes that a chapter may start; a chapter that comes from
the execution cache has no kernel and is not measured.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LIMIT = 1.5e9  # bytes; Binder gives about 2 GB to the kernel, the server and the system together

logger = logging.getLogger(__name__)


def peak_of_children() -> int:
    """Largest resident memory, in bytes, that any process started from this one and ended has ever had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


class MemoryWatch:
    """Compare the peak with the limit after each page.

    Parameters
    ----------
    limit : float
        Bytes that a kernel may take.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.peak = 0

    def after_page(self, app: Sphinx, _doctree: nodes.document) -> None:
        """Warn, and so fail the build, if the kernel of the page just read took more than the limit."""
        peak = peak_of_children()
        grown, self.peak = peak > self.peak, peak
        if grown and peak > self.limit:
            logger.warning(
                "the kernel took %.2f GB of memory, more than %.2f GB; compute less at a time, or read "
                "stored results",
                peak / 1e9,
                self.limit / 1e9,
                location=app.env.docname,
                type="gad",
                subtype="memory",
            )

    def at_the_end(self, _app: Sphinx, _exception: Exception | None) -> None:
        """Tell the peak of the whole build."""
        logger.info("peak memory of a kernel: %.2f GB", self.peak / 1e9)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    watch = MemoryWatch(LIMIT)
    app.connect("doctree-read", watch.after_page)
    app.connect("build-finished", watch.at_the_end)
    # Pages read in parallel could not be told apart.
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
