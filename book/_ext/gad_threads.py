"""Sphinx extension: threads of a chapter's kernel that get along with other programs.

The matrices of the chapters are small: threads inside a product only wait for each other, and where other
programs use the processors too, they wait so long that a cell of seconds can exceed its time limit. So there
is one for linear algebra, and those of the networks sleep while they wait.
"""

from __future__ import annotations

import os
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:  # noqa: ARG001 - Sphinx's signature
    """Set what the kernels inherit, unless it is set."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
