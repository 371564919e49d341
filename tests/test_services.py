"""What others run for the project: the workflows on GitHub do what `.ci/run` does, and Binder can start."""

import os
import re
from pathlib import Path

import pytest
import yaml

from gad_core.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
POST_BUILD = (ROOT / "postBuild").read_text("utf-8")


def make_targets(script):
    return set(re.findall(r"^make ([a-z]+)", script, re.MULTILINE))


def steps(name):
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


def targets_of(name):
    return make_targets("\n".join(step.get("run", "") for step in steps(name)))


def triggers(name):
    return WORKFLOWS[name][True]  # YAML 1.1 reads the key "on" as true


CI = make_targets((ROOT / ".ci" / "run").read_text("utf-8"))

# --- workflows --------------------------------------------------------------------------------------------


def test_workflows_make_what_ci_makes():
    assert {"test", "book", "browser"} <= CI
    assert targets_of("test.yml") | targets_of("book.yml") == CI
    assert targets_of("weekly.yml") == CI | {"lock"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in CI | {"lock"})


def test_nothing_is_run_but_make():
    for name in WORKFLOWS:
        for step in steps(name):
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"make [a-z]+", step.get("run", "make x")), step


def test_every_supported_python_is_tested():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    supported = set(re.findall(r"Python :: (3\.\d+)", text))
    job = WORKFLOWS["test.yml"]["jobs"]["test"]
    assert set(job["strategy"]["matrix"]["python"]) == supported
    assert job["strategy"]["fail-fast"] is False
    [run] = [step for step in job["steps"] if "run" in step]
    assert run["env"]["PYTHON"] == "python${{ matrix.python }}"  # the Makefile's choice of an interpreter


@pytest.mark.parametrize("name", WORKFLOWS)
def test_permissions_are_those_to_read(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    more = {
        job: each["permissions"] for job, each in WORKFLOWS[name]["jobs"].items() if "permissions" in each
    }
    publishing = {"publish": {"pages": "write", "id-token": "write"}}
    assert more == (publishing if name == "book.yml" else {})


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_every_job_ends_in_time_and_its_actions_have_a_major_version(name, job):
    assert WORKFLOWS[name]["concurrency"]["group"]
    description = WORKFLOWS[name]["jobs"][job]
    assert 0 < description["timeout-minutes"] <= 60
    for step in description["steps"]:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1")), step


def test_changes_are_tested_and_the_weekly_run_takes_the_newest_versions():
    for name in ("test.yml", "book.yml"):
        assert {"push", "pull_request"} <= set(triggers(name))
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", triggers("weekly.yml")["schedule"][0]["cron"])
    runs = [step for step in steps("weekly.yml") if "run" in step]
    assert runs[0]["run"] == "make lock"
    assert runs[0]["env"] == {"UPGRADE": "--upgrade"}
    assert "$(UPGRADE)" in (ROOT / "Makefile").read_text("utf-8")


def test_a_failed_book_keeps_its_reports_and_only_main_is_published():
    jobs = WORKFLOWS["book.yml"]["jobs"]
    upload = {step["uses"].partition("@")[0]: step for step in jobs["build"]["steps"] if "uses" in step}
    reports = upload["actions/upload-artifact"]
    assert reports["if"] == "failure()"
    assert reports["with"]["path"].split() == ["_build/html/reports", "_build/screenshots"]
    assert upload["actions/upload-pages-artifact"]["with"]["path"] == "_build/html"
    assert jobs["publish"]["needs"] == "build"
    only_main = "github.ref == 'refs/heads/main'"
    assert jobs["publish"]["if"] == upload["actions/upload-pages-artifact"]["if"] == only_main


# --- Binder -----------------------------------------------------------------------------------------------


def test_binder_reads_the_files_at_the_root():
    # Either folder would hide environment.yml and postBuild.
    assert not (ROOT / "binder").exists()
    assert not (ROOT / ".binder").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no executable bit")
def test_post_build_can_be_executed_and_stops_at_the_first_error():
    assert os.access(ROOT / "postBuild", os.X_OK)
    assert POST_BUILD.startswith("#!/usr/bin/env bash\n")
    assert re.search(r"^set -euo pipefail$", POST_BUILD, re.MULTILINE)


def test_commands_of_post_build_are_understood():
    lines = re.findall(r"^gad (.*)", POST_BUILD, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["info", "synthesize", "evaluate"]
    for line in lines:
        build_parser().parse_args(line.replace('"$folder"', "folder").split())


def test_binder_gets_torch_for_the_cpu_and_no_tools_that_build_the_book():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    names = {re.split("[<>=!]", each)[0] for each in listed if isinstance(each, str)}
    assert {"pytorch-cpu", "jupyterlab", "jupytext", "myst-nb"} <= names
    assert not {"pytorch", "jupyter-book", "openvino", "pytest"} & names
