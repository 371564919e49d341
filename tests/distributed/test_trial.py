"""Decoding in a process of its own: what ends it is named, and nothing else is held against a file."""

import shutil

import numpy as np
import pytest
from fits import DEADLY, stub_decoder
from PIL import Image

from gad_core.trial import Trial


def test_only_files_that_end_the_process_are_named(tmp_path, monkeypatch):
    stub_decoder(tmp_path, monkeypatch)
    good, broken, missing = tmp_path / "line\nbreak \udce4.png", tmp_path / "broken.png", tmp_path / "none"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(good)
    broken.write_bytes(b"no image")
    deadly = tmp_path / "deadly.png"
    deadly.write_bytes(DEADLY)
    with Trial() as trial:
        for path in (good, deadly, broken, missing):
            message = (
                f"{deadly} ends the process that decodes it (exit status 9); copy or export the file again"
            )
            assert trial.death(path) == (message if path == deadly else "")
        last = trial._process
    assert last.returncode is not None


def test_a_process_that_does_not_start_is_no_files_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("gad_core.trial.sys.executable", shutil.which("false"))
    with Trial() as trial, pytest.raises(RuntimeError, match="could not be started"):
        trial.death(tmp_path)


def test_a_process_that_was_ended_from_outside_condemns_no_image(tmp_path):
    with Trial() as trial:
        assert trial.death(tmp_path) == ""
        trial._process.kill()
        assert trial.death(tmp_path) == ""
