"""Files that cannot be fetched from a server on this machine: what is said, and what is on disk after."""

import errno
import io
import os
import shutil
import socket
from pathlib import Path

import pytest
from served import CONTENT, SHA256, Usage, names, one_line

from gad_core.datasets import storage, transfer
from gad_core.datasets.download import TransferError, fetch
from gad_core.errors import InputError

pytestmark = pytest.mark.usefixtures("pauses")


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(TransferError, match=f"begins with {SHA256[:8]} and not with 00000000") as caught:
        fetch(server.url, tmp_path / "f", "00000000")
    assert server.url in one_line(caught)
    assert names(tmp_path) == []
    assert len(server.asked) == 1  # a fresh transfer is not repeated: it would bring the same


def test_not_found_says_what_to_do(server, tmp_path, pauses):
    server.statuses = [404]
    with pytest.raises(TransferError, match="answered 404 Not Found; check the address or get") as caught:
        fetch(server.url, tmp_path / "f")
    assert server.url in one_line(caught)
    assert str(tmp_path / "f") in str(caught.value)
    assert pauses == []


def test_a_redirection_without_end_is_one_line(server, tmp_path):
    server.location = server.url
    with pytest.raises(TransferError, match="answered 302") as caught:
        fetch(server.url, tmp_path / "f")
    one_line(caught)


def test_a_redirection_to_a_local_file_is_refused(server, tmp_path):
    server.location = (tmp_path / "secret").as_uri()
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(TransferError, match="answered 302"):
        fetch(server.url, tmp_path / "f")
    assert names(tmp_path) == ["secret"]


def test_an_error_that_stays_is_reported(server, tmp_path):
    server.statuses = [503] * 10
    with pytest.raises(TransferError, match="answered 503 Service Unavailable; try again later"):
        fetch(server.url, tmp_path / "f")
    assert len(server.asked) == 1 + len(transfer._PAUSES)


def test_a_port_where_nobody_listens(tmp_path, pauses):
    with socket.socket() as taken:  # bound but not listening: refused, and nobody else can get the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/f"
        with pytest.raises(
            TransferError, match=r"cannot reach 127\.0\.0\.1 \(.*refused.*\); check the"
        ) as caught:
            fetch(url, tmp_path / "f")
    assert url in one_line(caught)
    assert pauses == []
    assert names(tmp_path) == []


def test_a_silent_server_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        with pytest.raises(TransferError, match=r"broke off after 0 B \(timed out\)"):
            fetch(url, tmp_path / "f", timeout=0.02)


@pytest.mark.parametrize(
    "url", ["file:///etc/hosts", "ftp://h/f", "h/f", "http://", "http://h:x/f", "http://h/a b"]
)
def test_only_web_addresses(tmp_path, url):
    with pytest.raises(InputError, match="is not a web address") as caught:
        fetch(url, tmp_path / "f")
    one_line(caught)
    assert names(tmp_path) == []


@pytest.mark.parametrize("checksum", ["", "abc", "x" * 64, "a" * 65])
def test_only_checksums(tmp_path, checksum):
    with pytest.raises(InputError, match="is not a checksum"):
        fetch("http://127.0.0.1/f", tmp_path / "f", checksum)


def test_a_disk_that_is_too_small_is_found_before_the_transfer(server, tmp_path, monkeypatch):
    (tmp_path / "f.part").write_bytes(CONTENT[:24_000])
    needed = len(CONTENT) - 24_000  # exactly 1 MB
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: Usage(needed, 1, needed - 1))
        with pytest.raises(InputError, match=r"not enough disk space in .*1\.0 MB needed and") as caught:
            fetch(server.url, tmp_path / "f", SHA256)
        assert server.url in one_line(caught)
        assert (tmp_path / "f.part").read_bytes() == CONTENT[:24_000]
        patched.setattr(shutil, "disk_usage", lambda _: Usage(needed, 0, needed))
        assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT


class FullDisk(io.FileIO):
    """A file on a disk that has room for 100000 bytes more."""

    room = 100_000

    def write(self, data):
        if len(data) > self.room:
            super().write(data[: self.room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return super().write(data)


def test_a_disk_that_fills_up_keeps_the_part(server, tmp_path, monkeypatch):
    plain = Path.open

    def opened(path, mode="r", **options):
        return FullDisk(path, mode) if mode == "ab" else plain(path, mode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(
            InputError, match=r"disk is full .* 924\.0 kB still needed and .* run again"
        ) as caught:
            fetch(server.url, tmp_path / "f", SHA256)
    assert server.url in one_line(caught)
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:100_000]
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert server.asked[-1] == ("bytes=100000-", '"first"')


def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write .* choose a folder") as caught:
        fetch(server.url, tmp_path / "file" / "f", SHA256)
    assert server.url in one_line(caught)

    def refused(path, *args, **rest):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(InputError, match=r"cannot write .* \(Permission denied\); choose a folder") as caught:
        fetch(server.url, tmp_path / "f", SHA256)
    one_line(caught)
    assert server.asked == []


def test_a_folder_in_the_place_of_the_file(server, tmp_path):
    with pytest.raises(InputError, match="is a folder; name the file"):
        fetch(server.url, tmp_path)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (7 * 10**15, "7000.0 TB"),
    ],
)
def test_sizes_for_people(size, text):
    assert storage.readable(size) == text
