"""Folders of an archive: what is asked for is extracted, whole or not at all."""

import errno
import os
import shutil
import tarfile

import pytest
from mvtec_archive import ARCHIVE, MEMBERS, category, expected, special, tar_bytes, tree
from served import Usage, names, one_line

from gad_core.datasets import archive
from gad_core.errors import InputError


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "packed.tar.xz"
    path.write_bytes(ARCHIVE)
    return path


def test_survey_adds_up_the_folders(packed):
    sizes = archive.survey(packed)
    assert sorted(sizes) == ["bottle", "pill", "zipper"]
    assert sizes["pill"] == archive.FolderSize(5, sum(map(len, expected("pill").values())))


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_only_the_asked_folders_are_extracted(tmp_path, kind):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes([(f"./{n}", c) for n, c in MEMBERS], kind))
    archive.extract_folders(path, tmp_path / "root", ["zipper", "bottle", "zipper"])
    assert tree(tmp_path / "root") == expected("zipper", "bottle")
    assert names(tmp_path / "root") == ["bottle", "zipper"]


EVIL = {
    "up": ("../evil", b"x"),
    "up inside": ("pill/../../evil", b"x"),
    "absolute": ("/tmp/evil", b"x"),
    "backslash": ("pill\\..\\..\\evil", b"x"),
    "drive": ("C:evil", b"x"),
    "symlink outside": ("pill/evil", special(tarfile.SYMTYPE, "../../evil")),
    "symlink absolute": ("pill/evil", special(tarfile.SYMTYPE, "/etc")),
    "hard link outside": ("pill/evil", special(tarfile.LNKTYPE, "../evil")),
    "symlink inside": ("pill/evil", special(tarfile.SYMTYPE, "train")),
    "device": ("pill/evil", special(tarfile.CHRTYPE)),
    "pipe": ("evil", special(tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("member", EVIL.values(), ids=EVIL.keys())
def test_an_unsafe_archive_writes_nothing(tmp_path, member):
    path = tmp_path / "packed.tar.xz"
    path.write_bytes(tar_bytes([*MEMBERS, member]))
    with pytest.raises(InputError, match="unsafe") as caught:
        archive.extract_folders(path, tmp_path / "root", ["bottle"])
    assert str(path) in one_line(caught)
    assert "evil" in str(caught.value)
    assert names(tmp_path) == ["packed.tar.xz"]


def test_the_data_filter_stands_behind_the_own_check(tmp_path, monkeypatch):
    path = tmp_path / "packed.tar.xz"
    path.write_bytes(tar_bytes([*category("pill"), ("pill/../../evil", b"x")]))
    monkeypatch.setattr(archive, "_checked_folder", lambda *_: "pill")
    with pytest.raises(InputError, match="outside the destination"):
        archive.extract_folders(path, tmp_path / "root", ["pill"])
    assert names(tmp_path) == ["packed.tar.xz", "root"]
    assert names(tmp_path / "root") == []


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.parametrize(
    "content",
    [ARCHIVE[: len(ARCHIVE) // 2], flipped(ARCHIVE, len(ARCHIVE) // 2), b"<html>", b""],
    ids=["cut off", "one byte changed", "a page", "empty"],
)
def test_a_damaged_archive_is_named(tmp_path, content):
    path = tmp_path / "packed.tar.xz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged .* delete it and get it again") as caught:
        archive.extract_folders(path, tmp_path / "root", ["zipper"])
    assert str(path) in one_line(caught)
    assert not (tmp_path / "root").exists()


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.tar"):
        archive.survey(tmp_path / "nowhere.tar")


def test_a_folder_that_the_archive_lacks(packed, tmp_path):
    with pytest.raises(InputError, match="no folder 'screw'; there is: bottle, pill, zipper"):
        archive.extract_folders(packed, tmp_path / "root", ["pill", "screw"])
    assert not (tmp_path / "root").exists()


def test_a_folder_that_is_there_is_not_touched(packed, tmp_path):
    (tmp_path / "root" / "pill").mkdir(parents=True)
    with pytest.raises(InputError, match="is there already; move it away"):
        archive.extract_folders(packed, tmp_path / "root", ["pill"])
    assert tree(tmp_path / "root") == {}


def test_an_interrupted_extraction_leaves_whole_folders_only(packed, tmp_path, monkeypatch):
    extract = tarfile.TarFile.extract

    def interrupted(tar, member, *args, **rest):
        if member.name == "pill/test/good/000.png":
            raise KeyboardInterrupt
        return extract(tar, member, *args, **rest)

    monkeypatch.setattr(tarfile.TarFile, "extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        archive.extract_folders(packed, tmp_path / "root", ["bottle", "pill"])
    assert names(tmp_path / "root") == ["bottle"]
    assert tree(tmp_path / "root") == expected("bottle")


def test_a_disk_too_small_for_the_folders(packed, tmp_path, monkeypatch):
    needed = archive.survey(packed)["pill"].size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed, 1, needed - 1))
    with pytest.raises(InputError, match="not enough disk space"):
        archive.extract_folders(packed, tmp_path / "root", ["pill"])
    assert names(tmp_path / "root") == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed, 0, needed))
    archive.extract_folders(packed, tmp_path / "root", ["pill"])
    assert tree(tmp_path / "root") == expected("pill")


def test_a_disk_that_fills_up_while_extracting(packed, tmp_path, monkeypatch):
    def full(*args, **rest):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(InputError, match=r"the disk is full .* nothing half-written stays") as caught:
        archive.extract_folders(packed, tmp_path / "root", ["pill"])
    one_line(caught)
    assert names(tmp_path / "root") == []


def test_an_old_python_is_told_to_update(packed, tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(InputError, match=r"update to Python 3\.11\.4"):
        archive.extract_folders(packed, tmp_path / "root", ["pill"])
