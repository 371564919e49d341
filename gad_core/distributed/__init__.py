"""Fit a detector to more images than one process or machine has time for, on Dask.

The numbers are the same to the last bit whatever the number of workers, and whoever of them computes what:

- Images are computed in **blocks** of a fixed number, on one thread; batches start anew in each block.
- Features are summed about one **fixed point**, the mean of the first block.
- The sums of blocks are added along one **fixed binary tree**. A task does an aligned part of the tree.

That holds for workers on processors of one kind, with the same versions of the libraries (these are checked).
`fit_images` without workers goes the same way in this process.
"""

from gad_core.distributed.cluster import connected
from gad_core.distributed.fit import DistributedFit, check_fit, fit_images
from gad_core.distributed.workers import Here, OnCluster

__all__ = ["DistributedFit", "Here", "OnCluster", "check_fit", "connected", "fit_images"]
