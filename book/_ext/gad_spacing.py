"""Sphinx extension: a percent sign stays in the line of its number, however narrow the page."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

AS_WRITTEN = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def kept_together(text: str) -> str:
    """Make the space before each percent sign one that does not break.

    A text that begins with such a space follows a number that was glued.
    """
    return re.sub(r"(^|(?<=\d)) %", "\N{NO-BREAK SPACE}%", text)


class KeepPercentSigns(SphinxTransform):
    """Apply `kept_together` to all text but code and formulas."""

    default_priority = 800

    def apply(self, **_: Any) -> None:
        """Replace the texts that change."""
        for node in list(self.document.findall(nodes.Text)):
            text = kept_together(node)
            if text != node and not isinstance(node.parent, AS_WRITTEN):
                node.parent.replace(node, nodes.Text(text))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_transform(KeepPercentSigns)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
