"""The comparison with other methods: its rows and arguments; no other method is needed here."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peer_run, peers
from gad_core import MVTecDataset
from gad_core.datasets.synthetic import synthesize
from gad_core.experiments.results import read_rows

ROOT = Path(__file__).resolve().parents[1]
MEASURED = {"fit_s": 2.0, "score_ms": 30.0, "peak_mb": 900.0, "state_mb": 50.0, "auroc": 0.75}
RUN = peers.Run("DFM", "resnet18", 256)


@pytest.fixture(scope="module")
def nuts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuts")
    synthesize(folder, categories=["nut"], n_train=5, n_test_good=4, n_test_defect=2, size=64, progress=False)
    return MVTecDataset(folder, "nut")


class ByName:
    """Scores an image by its folder: anomalies above normal images."""

    def fit(self, paths):
        self.fitted = list(paths)

    def score(self, paths):
        self.scored = list(paths)
        return np.array([path.parent.name != "good" for path in paths], dtype=float)

    def saved_bytes(self, folder):
        assert folder.is_dir()
        return 3_000_000


def test_the_environment_of_the_others_has_the_torch_of_the_lock():
    lines = (ROOT / "benchmarks" / "peers-requirements.txt").read_text("utf-8").splitlines()
    pinned = [line for line in lines if line.startswith("torch")]
    locked = re.findall(r"^(torch(?:vision)?==\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    assert len(pinned) == 2
    assert pinned == locked


def test_wherever_another_method_runs_ours_has_the_same_network_and_size():
    ours = {run[1:] for run in peers.RUNS if run.method == "gad_core"}
    for method in peer_run.MODELS:
        assert {run[1:] for run in peers.RUNS if run.method == method} <= ours


@pytest.mark.parametrize(("method", "python"), [("gad_core", sys.executable), ("PatchCore 1 %", "other")])
def test_the_process_understands_what_it_is_asked(method, python):
    run = peers.Run(method, "efficientnet_b4", 256)
    asked = peers.command(run, Path("data"), "bottle", 12, Path("other"))
    assert asked[:3] == [python, "-m", "benchmarks.peer_run"]
    args = peer_run.parser().parse_args(asked[3:])
    assert (args.method, args.network, args.size) == run
    assert (args.data, args.category, args.limit) == (Path("data"), "bottle", 12)
    everything = peers.command(run, Path("data"), "bottle", None, Path("other"))
    assert peer_run.parser().parse_args(everything[3:]).limit is None


def test_an_unknown_method_is_refused(capsys):
    with pytest.raises(SystemExit):
        peer_run.parser().parse_args(["PaDiN", "resnet18", "256", "data", "bottle"])
    assert "PaDiN" in capsys.readouterr().err


def test_rows_have_numbers_or_a_reason():
    key = {"category": "bottle", "method": "DFM", "network": "resnet18", "size": 256}
    assert peers.row("bottle", RUN, MEASURED, random=False) == {**key, **MEASURED, "note": ""}
    guessed = peers.row("bottle", RUN, MEASURED, random=True)
    assert guessed == {**key, **MEASURED, "auroc": None, "note": peers.RANDOM}
    none = peers.row("bottle", RUN, "skipped: no data", random=True)
    assert none == {**key, **dict.fromkeys(MEASURED), "note": "skipped: no data"}
    assert list(none) == list(guessed)  # one table


def test_fresh_rows_replace_all_of_their_category_and_no_other():
    screw, old, new = ({"category": c, "of": i} for i, c in enumerate(("screw", "bottle", "bottle")))
    assert peers.merged([screw, old, old], [new]) == [new, screw]
    assert peers.merged([], [screw]) == [screw]


def test_what_is_measured(nuts):
    model = ByName()
    found = peer_run.measure(lambda: model, nuts)
    assert list(found) == list(peers.MEASURED)
    assert found["auroc"] == 1
    assert found["state_mb"] == 3
    assert found["peak_mb"] > 20  # an interpreter with numpy
    assert model.fitted == list(nuts.train.paths)
    assert sorted(model.scored) == sorted(nuts.test.paths)


def test_a_limit_keeps_both_labels_and_spreads(nuts):
    model = ByName()
    peer_run.measure(lambda: model, nuts, limit=4)
    assert model.fitted == [nuts.train.paths[i] for i in (0, 1, 2, 4)]
    assert [path.parent.name == "good" for path in model.scored] == [True, True, False, False]


@pytest.mark.parametrize(("category", "reason"), [("nut", ".venv-peers"), ("bolt", "no folder bolt")])
def test_what_cannot_be_measured_is_written_with_its_reason(nuts, tmp_path, monkeypatch, category, reason):
    monkeypatch.setattr(peers, "RUNS", (RUN,))
    monkeypatch.setattr(peers, "CATEGORIES", ("nut", "bolt"))
    options = ["--data", str(nuts.root), "--categories", category, "--folder", str(tmp_path)]
    peers.main([*options, "--peers-python", str(tmp_path / "none")])
    (row,) = read_rows(tmp_path, "peers")
    assert row["category"] == category
    assert reason in row["note"]
    assert row["auroc"] is None


def test_a_method_that_takes_too_long_is_ended_and_named(nuts, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "RUNS", (peers.Run("gad_core", "embedded", 64),))
    monkeypatch.setattr(peers, "CATEGORIES", ("nut",))
    monkeypatch.setattr(peers, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    options = ["--data", str(nuts.root), "--categories", "nut", "--folder", str(tmp_path)]
    peers.main([*options, "--seconds", "1"])
    (row,) = read_rows(tmp_path, "peers")
    assert row["note"] == "not done after 1 s"
    assert row["fit_s"] is None
