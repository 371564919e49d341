"""``gad features``: from a data set to files of features."""

import json
import os

import numpy as np
import pytest

import gad_core as gad
from gad_core.cli import main
from gad_core.export import dataset_sha256

NETWORK = ["--backbone", "squeezenet1_1", "--weights", "random", "--levels", "1,3", "--quiet"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return gad.synthesize(
        root, categories=["nut", "chip"], n_train=2, n_test_good=1, n_test_defect=1, size=64, progress=False
    )


def gad_features(*argv: object) -> int:
    return main(["features", *map(str, argv)])


def test_export_writes_what_the_extractor_gives(root, tmp_path, capsys):
    assert gad_features("export", "--data", root, *NETWORK, "--out", tmp_path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    data = gad.MVTecDataset(root, "nut")
    extractor = gad.FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 3], cache="auto")
    found = gad.load_features(tmp_path / "squeezenet1_1" / "nut.npz")
    np.testing.assert_array_equal(found.train, extractor.transform(data.train.paths))
    np.testing.assert_array_equal(found.test, extractor.transform(data.test.paths))
    assert found.level_widths == extractor.level_widths
    assert found.labels.tolist() == data.test.labels.tolist()
    assert [root / "nut" / path for path in found.test_paths] == list(data.test.paths)
    assert {path.name for path in (tmp_path / "squeezenet1_1").iterdir()} == {"nut.npz", "chip.npz"}


def test_a_second_export_writes_the_same_bytes_and_no_path_of_this_machine(root, tmp_path):
    for name in ("a", "b"):
        status = gad_features(
            "export", "--data", root, "--category", "nut", *NETWORK, "--out", tmp_path / name
        )
        assert status == 0
    a, b = (tmp_path / name / "squeezenet1_1" / "nut.npz" for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    said = json.dumps(gad.load_features(a).provenance)
    assert str(root) not in said
    assert os.sep + "tmp" not in said


def test_the_dataset_checksum_follows_names_and_content_but_not_order(tmp_path):
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(name.encode())
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    whole = dataset_sha256(tmp_path, paths)
    assert dataset_sha256(tmp_path, reversed(paths)) == whole
    assert dataset_sha256(tmp_path.parent, paths) != whole
    assert dataset_sha256(tmp_path, paths[:1]) != whole
    (tmp_path / "a.png").write_bytes(b"changed")
    assert dataset_sha256(tmp_path, paths) != whole


def test_what_cannot_be_written_is_refused_before_any_image_is_read(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "out").write_text("a file")
    assert gad_features("export", "--data", root, *NETWORK, "--out", tmp_path / "out") == 2
    assert "cannot write" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_the_help_names_what_reads_the_files(capsys):
    with pytest.raises(SystemExit):
        gad_features("export", "--help")
    assert "gad_core.load_features(FILE)" in capsys.readouterr().out


def test_an_action_must_be_named(capsys):
    with pytest.raises(SystemExit) as stop:
        gad_features()
    assert stop.value.code == 2
    assert "ACTION" in capsys.readouterr().err
