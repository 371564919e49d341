"""The ways of making the weights that were tried, and the one that is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gad_core.errors import InputError
from training.loop import Plan


@dataclass(frozen=True)
class Variant:
    """One way of making the weights.

    Parameters
    ----------
    route : {"distil", "classify"}
        Whether the network learns the teacher's maps or the styles of the pictures.
    plan : Plan
        How it is trained.
    start : str or None
        The variant whose trained network it starts from.
    """

    route: str
    plan: Plan
    start: str | None = None


VARIANTS: Mapping[str, Variant] = {
    "distil": Variant("distil", Plan(steps=2400)),
    "classify": Variant("classify", Plan(steps=2400)),
    "longer": Variant("distil", Plan(steps=1700, rate=2e-3), start="distil"),
    "exposed": Variant("distil", Plan(steps=1700, rate=2e-3, exposure=0.2), start="distil"),
}
"""The variants by name; README.md says what came of each."""

SHIPPED = "exposed"


def seeded_plan(variant: Variant, seed: int) -> Plan:
    """Give a variant's plan for one seed; a second training on top of a first draws other batches."""
    return replace(variant.plan, seed=seed if variant.start is None else seed + 1)


def get_variant(name: str) -> Variant:
    """Look a variant up; InputError if there is none of that name."""
    if name not in VARIANTS:
        raise InputError(f"no variant is called {name!r}; there are {', '.join(VARIANTS)}")
    return VARIANTS[name]
