"""Predictors on samples of two made-up levels, for tests of what explains a distance."""

import itertools

import numpy as np

WIDTHS = {1: 4, 2: 5}

GRID = list(
    itertools.product(
        ("sum", "joint", 2),
        (None, ("pca", 0.9), ("npca", 0.9)),
        ("ledoit_wolf", "oas", "empirical", "diagonal", "spherical"),
    )
)
"""How levels are combined, subspace, covariance estimate."""


def samples(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 9)) @ np.random.default_rng(7).normal(size=(9, 9)) + 3
