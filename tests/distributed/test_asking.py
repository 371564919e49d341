"""What goes wrong between calls on workers and the process that they ask."""

import numpy as np
import pytest

from gad_core.distributed import asking
from gad_core.distributed.rows import Rows
from gad_core.distributed.statistics import group_distances, group_moments
from gad_core.errors import InputError


def test_rows_that_are_no_longer_those_of_the_labels_are_refused():
    rows = Rows([np.zeros((3, 2), np.float32), np.zeros((2, 2), np.float32)], [])
    columns = {1: slice(0, 2)}
    for count in (4, 6):
        labels = np.zeros(count, np.uint8)
        with pytest.raises(InputError, match="changed during the fit"):
            group_moments(rows, labels, 0, np.zeros(2), columns)
        with pytest.raises(InputError, match="changed during the fit"):
            group_distances(rows, labels, 0, {}, columns)


def test_a_question_without_an_answer_is_an_error_with_words(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask is not installed (extra dask)")
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        unanswered = client.submit(asking.Ask("questions-of-nobody"), ("labels", 0, 1))
        with pytest.raises(InputError, match=r"did not answer a worker for 0\.2 s"):
            unanswered.result(timeout=30)
