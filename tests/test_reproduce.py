"""``gad reproduce``: what it writes, that it goes on where it was stopped, and bad input."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import EXPERIMENTS, finished, made_up, run, sources

import gad_core as gad
from gad_core import InputError
from gad_core.cli import main
from gad_core.cli.arguments.reproduce import REPRODUCED
from gad_core.experiments import catalogue
from gad_core.experiments.catalogue import ALIASES, chosen_experiments
from gad_core.experiments.reproduce import UNITS, reproduce
from gad_core.experiments.results import read_rows
from gad_core.experiments.sources import Material, Source
from gad_core.experiments.units import Unit, UnitStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def content(out):
    """Every file below a folder but the pieces of work, with its bytes."""
    paths = sorted(path for path in out.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    run(out)
    return out


@pytest.fixture
def refused(capsys, tmp_path):
    """Run ``gad reproduce`` with arguments that must fail with status 2 and one line, and give the line."""

    def refused(*argv):
        try:
            status = main(["reproduce", *map(str, argv), "--out", str(tmp_path / "out")])
        except SystemExit as stop:
            status = stop.code
        err = capsys.readouterr().err
        assert status == 2, err
        assert err.count("\n") == 1, err
        assert not (tmp_path / "out").exists()
        return err

    return refused


# --- what is written --------------------------------------------------------------------------------------


def test_every_experiment_has_rows_a_table_and_provenance(out):
    assert set(content(out)) == {
        f"{name}.{suffix}" for name in EXPERIMENTS for suffix in ("csv", "comparison.csv", "json")
    }
    provenance = json.loads((out / "table1.json").read_text("utf-8"))
    assert provenance["tier"] == "embedded"
    assert provenance["command"] == "gad reproduce table1"
    assert [each["category"] for each in provenance["features"]] == 2 * ["chip", "nut", "wood"]
    assert provenance["features"][0]["provenance"]["weights_sha256"] == "0" * 64
    hashes = [each["features_sha256"] for each in provenance["features"]]
    assert hashes == [Material(source.load()).features_sha256 for source in sources()]


def test_rows_that_are_read_are_those_that_were_computed(out):
    rows = [row for row in read_rows(out, "table1") if row["backbone"] == "efficientnet_b4"]
    features = [source.load() for source in sources() if source.backbone == "efficientnet_b4"]
    computed = [row for each in features for row in catalogue.EXPERIMENTS["table1"].compute(each)]
    assert len(rows) == len(computed)
    for read, made in zip(rows, computed, strict=True):
        assert read == made | {"auroc": pytest.approx(made["auroc"], abs=1e-9)}


def test_a_table_is_for_the_paper_s_networks_only_where_that_is_its_subject(out):
    assert {row["backbone"] for row in read_rows(out, "table2")} == {"efficientnet_b4"}
    assert {row["backbone"] for row in read_rows(out, "table1")} == {"efficientnet_b4", "squeezenet1_1"}


def test_files_tell_nothing_of_this_machine_or_the_time(out):
    for name, data in content(out).items():
        text = data.decode("utf-8")
        assert str(Path.home()) not in text, name
        assert str(out) not in text, name


def test_a_result_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="gad reproduce table1"):
        read_rows(tmp_path, "table1.comparison")


# --- stopped and continued --------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_killed_again_and_again_it_ends_with_the_same_files(out, tmp_path):
    command = [sys.executable, ROOT / "tests" / "made_up.py", tmp_path, "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) >= 5
    assert content(tmp_path) == content(out)
    assert {p.name for p in (tmp_path / UNITS).iterdir()} == {p.name for p in (out / UNITS).iterdir()}
    assert finished(tmp_path) == 3 * (3 + 4)


def test_several_processes_write_the_same_files(out, tmp_path):
    run(tmp_path, jobs=2)
    assert content(tmp_path) == content(out)
    assert finished(tmp_path) == finished(out)


def test_a_second_run_computes_nothing_and_writes_the_same(out, monkeypatch):
    before = content(out)

    def computed(*_):
        raise AssertionError("a finished piece was computed again")

    monkeypatch.setattr(catalogue.Experiment, "rows", computed)
    run(out)
    assert content(out) == before


def test_a_damaged_piece_is_computed_again_with_a_warning(out):
    before = content(out)
    piece = sorted((out / UNITS).glob("table1*.json"))[0]
    whole = piece.read_bytes()
    for damaged in (whole[: len(whole) // 2], b'{"key": "other", "rows": []}', b"[]"):
        piece.write_bytes(damaged)
        with pytest.warns(RuntimeWarning, match="damaged"):
            run(out)
        assert piece.read_bytes() == whole
        assert content(out) == before


def test_what_a_killed_write_left_is_removed_and_other_files_stay(out):
    left = out / UNITS / ".table1-x.0123456789ab.json"
    mine = out / ".gitignore"
    for path in (left, mine):
        path.write_text("{", "utf-8")
    run(out)
    assert not left.exists()
    assert mine.exists()
    mine.unlink()


def test_a_piece_is_named_by_all_that_decides_it(monkeypatch, tmp_path):
    unit = Unit("rates", "resnet18", "nut", {"seed": 0}, ("a",))
    others = [
        dataclasses.replace(unit, experiment="tie"),
        dataclasses.replace(unit, parameters={"seed": 1}),
        dataclasses.replace(unit, inputs=("b",)),
    ]
    assert len({unit.key(), *(other.key() for other in others)}) == 4
    store = UnitStore(tmp_path)
    store.put(unit, [{"x": 1 / 3, "y": None}])
    assert store.get(unit) == [{"x": 0.3333333333, "y": None}]
    monkeypatch.setattr("gad_core.experiments.units.code_sha256", lambda: "other code")
    assert store.get(unit) is None


def test_other_features_are_another_hash():
    features = made_up()
    test = features.test.copy()
    test[0, 0] += 1
    changed = type(features)(**{**vars(features), "test": test})
    assert Material(features).features_sha256 == Material(made_up()).features_sha256
    assert Material(features).features_sha256 != Material(changed).features_sha256


# --- the command ------------------------------------------------------------------------------------------


def test_names_of_the_command_are_those_of_the_catalogue():
    assert set(REPRODUCED) == {*catalogue.EXPERIMENTS, *ALIASES, "all"}
    assert chosen_experiments(["table8", "table5"]) == [catalogue.EXPERIMENTS["table5"]]


def test_the_command_prints_the_paper_s_column_beside_ours(tmp_path, capsys):
    argv = ["reproduce", "table2", "--category", "bottle", "--out", str(tmp_path), "--quiet"]
    assert main([*argv, "--json", str(tmp_path / "r.json")]) == 0
    printed = capsys.readouterr().out.splitlines()
    (line,) = [line for line in printed if "level 7" in line]
    assert "96.70 ± 1.00" in line
    assert "99.92" in line
    assert line.endswith("of bottle; the paper's mean is of 15")
    with (tmp_path / "embedded" / "table2.comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["item"]: row for row in csv.DictReader(file)}
    assert rows["level 7"]["paper"] == "96.7"
    assert rows["level 7"]["difference"] == ""
    (result,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["results"]
    assert len(result["rows"]) == 8


def test_images_on_disk_are_the_local_tier(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))
    data = gad.synthesize(
        tmp_path / "data", categories=["nut"], n_train=10, n_test_good=2, n_test_defect=2, size=64,
        progress=False,
    )  # fmt: skip
    argv = ["reproduce", "table1", "table7", "--data", data, "--backbone", "squeezenet1_1", "--weights",
            "random", "--levels", "1-2", "--out", tmp_path / "out", "--quiet"]  # fmt: skip
    assert main([*map(str, argv)]) == 0
    assert "table7 is left out" in capsys.readouterr().err
    assert {row["category"] for row in read_rows(tmp_path / "out" / "local", "table1")} == {"nut"}
    assert not (tmp_path / "out" / "local" / "table7.csv").exists()


def test_input_that_cannot_be_used_is_refused_in_one_line(refused, tmp_path):
    assert "explainability" in refused("explainability")
    assert "bottle, screw, transistor" in refused("table1", "--category", "pill")
    assert "resnet18" in refused("table1", "--backbone", "resnet18")
    assert "needed is one of resnet18, resnet34, resnet50" in refused("table7")
    assert "--data ROOT" in refused("table1", "--weights", "random")
    assert "--data ROOT" in refused("table4", "--passes", "10")
    assert "weights of one network" in refused("table2", "--data", tmp_path, "--weights", tmp_path / "w.pth")


def test_augmented_tables_need_augmented_images(tmp_path):
    without = [Source("nut", "efficientnet_b4", made_up)]
    with pytest.raises(InputError, match="--passes N"):
        list(reproduce(chosen_experiments(["table4"]), without, tmp_path, "embedded", progress=False))
