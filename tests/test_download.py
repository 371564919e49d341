"""Downloads and extraction from a server on this machine: what was asked for, what is on disk after."""

import errno
import hashlib
import http.client
import http.server
import io
import os
import re
import shutil
import socket
import tarfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest

from gad_core.datasets import archive, download, storage, transfer
from gad_core.datasets.download import CATEGORIES, LICENCE_NOTICE, TransferError, download_mvtec, fetch
from gad_core.errors import InputError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A file server whose faults can be chosen; `asked` holds the Range and If-Range of each request."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.asked = []
        self.etag = '"first"'
        self.ranges = True
        self.shift = 0  # answers a Range this many bytes too late
        self.drops = []  # bytes after which the connection is cut, one entry for each request
        self.statuses = []  # HTTP errors to answer first, one for each request
        self.length = True
        self.location = None  # redirects there
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.bin"

    def answer(self, handler):
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append((wanted, condition))
        if self.location:
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.end_headers()
            return
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        start = int(wanted[6:-1]) if wanted and self.ranges and condition in {None, self.etag} else 0
        if start >= len(self.content) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        self._head(handler, start + self.shift if start else 0)
        body = self.content[start:]
        handler.wfile.write(body[: self.drops.pop(0)] if self.drops else body)

    def _head(self, handler, start):
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(self.content) - start))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()

    def _handler(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        return Handler


@pytest.fixture
def server():
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """No proxy, no waiting; gives the pauses that were asked for."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    asked = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- fetch: what arrives ---------------------------------------------------------------------------------


def test_a_whole_file_arrives_in_a_new_folder(server, tmp_path):
    path = tmp_path / "new" / "deep" / "file.bin"
    assert fetch(server.url, str(path), SHA256) == path
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["file.bin"]
    assert server.asked == [(None, None)]


@pytest.mark.parametrize("checksum", [SHA256[:8], SHA256[:8].upper(), SHA256, None])
def test_checksum_may_be_a_prefix(server, tmp_path, checksum):
    assert fetch(server.url, tmp_path / "f", checksum).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"", b"x"])
def test_tiny_files_arrive_with_and_without_a_stated_length(server, tmp_path, content):
    server.content = content
    for server.length in (True, False):
        path = tmp_path / str(server.length)
        assert fetch(server.url, path, hashlib.sha256(content).hexdigest()).read_bytes() == content


def test_a_verified_file_is_not_fetched_again(server, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(CONTENT)
    assert fetch(server.url, path, SHA256[:12]) == path
    assert fetch(server.url, path) == path
    assert server.asked == []


def test_a_damaged_file_is_replaced_with_a_warning_and_only_by_a_verified_one(server, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"damaged")
    server.statuses = [404]
    with pytest.warns(UserWarning, match="does not have the checksum"), pytest.raises(TransferError):
        fetch(server.url, path, SHA256)
    assert path.read_bytes() == b"damaged"
    with pytest.warns(UserWarning, match="fetching it again"):
        fetch(server.url, path, SHA256)
    assert path.read_bytes() == CONTENT


def test_progress_goes_to_stderr_only_if_asked(server, tmp_path, capsys):
    fetch(server.url, tmp_path / "shown", description="the weights", progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "the weights" in shown.err
    assert "1.02M/1.02M" in shown.err
    fetch(server.url, tmp_path / "quiet", progress=False)
    fetch(server.url, tmp_path / "not a terminal")
    assert capsys.readouterr() == ("", "")


# --- fetch: going on --------------------------------------------------------------------------------------


def test_a_dropped_connection_is_resumed_within_the_call(server, tmp_path, pauses):
    server.drops = [400_000, 100_000]
    path = fetch(server.url, tmp_path / "f", SHA256)
    assert path.read_bytes() == CONTENT
    assert server.asked == [(None, None), ("bytes=400000-", '"first"'), ("bytes=500000-", '"first"')]
    assert pauses == [0.5, 0.5]  # each attempt brought something, so patience starts anew
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_the_next_call_resumes_what_an_earlier_one_left(server, tmp_path, pauses, checksum):
    server.drops = [300_000, 0, 0, 0, 0]
    with pytest.raises(TransferError, match=r"broke off after 300\.0 kB of 1\.0 MB .*run again") as caught:
        fetch(server.url, tmp_path / "f", checksum)
    assert server.url in one_line(caught)
    assert pauses == list(transfer._PAUSES)
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:300_000]
    server.asked.clear()
    assert fetch(server.url, tmp_path / "f", checksum).read_bytes() == CONTENT
    assert server.asked == [("bytes=300000-", '"first"')]
    assert names(tmp_path) == ["f"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.drops = [300_000]
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert [wanted for wanted, _ in server.asked] == [None, "bytes=300000-"]


def test_a_server_without_ranges_that_always_drops_is_given_up(server, tmp_path, pauses):
    server.ranges = False
    server.drops = [300_000] * 50
    with pytest.raises(TransferError, match="broke off"):
        fetch(server.url, tmp_path / "f", SHA256)
    assert len(server.asked) == 1 + len(transfer._PAUSES)
    assert len(pauses) == len(transfer._PAUSES)


def test_content_that_changed_is_taken_afresh(server, tmp_path):
    server.drops = [300_000] + [0] * 4
    with pytest.raises(TransferError):
        fetch(server.url, tmp_path / "f")
    server.content, server.etag = b"second" * 100_000, '"second"'
    server.asked.clear()
    assert fetch(server.url, tmp_path / "f").read_bytes() == server.content
    assert server.asked == [("bytes=300000-", '"first"')]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_validator_and_checksum_nothing_is_joined(server, tmp_path, etag):
    server.etag = etag
    server.drops = [300_000]
    assert fetch(server.url, tmp_path / "f").read_bytes() == CONTENT
    assert server.asked == [(None, None), (None, None)]


def test_without_validator_a_checksum_is_enough_to_resume(server, tmp_path):
    server.etag = None
    server.drops = [300_000]
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert server.asked == [(None, None), ("bytes=300000-", None)]


def test_a_part_from_another_address_resumes_under_the_checksum_only(server, tmp_path):
    server.drops = [300_000] + [0] * 4
    with pytest.raises(TransferError):
        fetch(server.url, tmp_path / "f", SHA256)
    server.asked.clear()
    assert fetch(server.url + "?mirror", tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert server.asked == [("bytes=300000-", None)]


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        (b"wrong" * 1000, ["bytes=5000-", None]),  # the sum gives it away
        (CONTENT, [f"bytes={len(CONTENT)}-"]),  # 416 at the very end: nothing is missing
        (CONTENT[::-1], [f"bytes={len(CONTENT)}-", None]),
        (CONTENT + b"more", [f"bytes={len(CONTENT) + 4}-", None]),  # 416 beyond the end: start again
        (b"", [None]),
    ],
)
def test_any_part_ends_in_the_right_file(server, tmp_path, part, asked):
    (tmp_path / "f.part").write_bytes(part)
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert [wanted for wanted, _ in server.asked] == asked
    assert names(tmp_path) == ["f"]


def test_an_answer_from_the_wrong_place_is_not_appended(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    server.shift = 7
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert server.asked == [("bytes=1000-", None), (None, None)]


def test_notes_that_cannot_be_read_do_not_matter(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    (tmp_path / "f.part.json").write_text("{")
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 503])
def test_a_passing_error_is_tried_again(server, tmp_path, pauses, status):
    server.statuses = [status, status]
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert pauses == [0.5, 1.0]


def test_an_interrupt_leaves_the_part_and_is_raised_again(server, tmp_path, monkeypatch):
    read1 = http.client.HTTPResponse.read1
    blocks = []

    def interrupted(response, size=-1):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        blocks.append(read1(response, min(size, 1000)))
        return blocks[-1]

    with monkeypatch.context() as patched:
        patched.setattr(http.client.HTTPResponse, "read1", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(server.url, tmp_path / "f", SHA256)
    kept = b"".join(blocks)
    assert (tmp_path / "f.part").read_bytes() == kept == CONTENT[: len(kept)] != b""
    assert fetch(server.url, tmp_path / "f", SHA256).read_bytes() == CONTENT
    assert server.asked[-1] == (f"bytes={len(kept)}-", '"first"')


# --- fetch: errors ----------------------------------------------------------------------------------------


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


Usage = namedtuple("Usage", "total used free")


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


# --- extraction -------------------------------------------------------------------------------------------


def tar_bytes(members, kind="xz"):
    """An archive of (name, content) pairs; a content that is a TarInfo is added as it is."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=f"w:{kind}") as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o444
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def special(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def folder():
    info = special(tarfile.DIRTYPE)
    info.mode = 0o555  # as in the official archive: nothing could be put into a folder with these rights
    return info


def category(name):
    parts = ["train/good/000.png", "train/good/001.png", "test/good/000.png", "test/cut/000.png"]
    parts += ["ground_truth/cut/000_mask.png"]
    folders = [name, f"{name}/train", f"{name}/train/good", f"{name}/test"]
    return [(f, folder()) for f in folders] + [(f"{name}/{p}", f"{name} {p}".encode() * 99) for p in parts]


MEMBERS = [("license.txt", b"terms"), *category("bottle"), *category("pill"), *category("zipper")]
ARCHIVE = tar_bytes(MEMBERS)
ARCHIVE_SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in Path(root).rglob("*") if p.is_file()}


def expected(*wanted):
    return {n: c for n, c in MEMBERS if isinstance(c, bytes) and n.split("/")[0] in wanted and "/" in n}


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


# --- download_mvtec ---------------------------------------------------------------------------------------


@pytest.fixture
def mvtec(server, tmp_path):
    server.content = ARCHIVE
    root = tmp_path / "mvtec"

    def run(categories=None, **options):
        return download_mvtec(root, categories, **{"url": server.url, "sha256": ARCHIVE_SHA256, **options})

    run.server, run.root = server, root
    return run


def test_the_fifteen_categories():
    assert len(set(CATEGORIES)) == 15
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert re.fullmatch("[0-9a-f]{64}", download.OFFICIAL_SHA256)


def test_categories_arrive_and_the_archive_goes(mvtec, capsys):
    assert mvtec(["pill", "bottle"]) == mvtec.root
    assert tree(mvtec.root) == expected("bottle", "pill")
    assert names(mvtec.root) == ["bottle", "pill"]
    said = capsys.readouterr()
    assert said.out == ""
    assert LICENCE_NOTICE in said.err
    for term in ("CC BY-NC-SA 4.0", "(c) MVTec Software GmbH", "non-commercial", "Bergmann", "CVPR 2019"):
        assert term in LICENCE_NOTICE


def test_the_notice_comes_before_the_transfer(mvtec, capsys):
    mvtec.server.statuses = [404]
    with pytest.raises(TransferError, match=re.escape(download.OFFICIAL_PAGE)) as caught:
        mvtec("pill")
    assert mvtec.server.url in one_line(caught)
    assert LICENCE_NOTICE in capsys.readouterr().err


def test_a_licence_not_accepted_downloads_nothing(mvtec, capsys):
    with pytest.raises(InputError, match="licence of MVTec AD was not accepted"):
        mvtec("pill", accept_license=False)
    assert LICENCE_NOTICE in capsys.readouterr().err
    assert mvtec.server.asked == []
    assert not mvtec.root.exists()


def test_what_is_there_is_kept_and_said(mvtec, capsys):
    mvtec("pill")
    mvtec.server.asked.clear()
    mark = mvtec.root / "pill" / "train" / "good" / "000.png"
    mark.chmod(0o644)
    mark.write_bytes(b"the reader's own")
    capsys.readouterr()
    assert mvtec("pill") == mvtec.root
    assert mvtec.server.asked == []
    said = capsys.readouterr().err
    assert "pill is kept: 2 training and 2 test images are there already" in said
    assert LICENCE_NOTICE not in said
    mvtec(["pill", "zipper"])
    assert mark.read_bytes() == b"the reader's own"
    assert names(mvtec.root) == ["pill", "zipper"]


def test_a_category_that_is_not_whole_is_refused(mvtec):
    (mvtec.root / "pill" / "train" / "good").mkdir(parents=True)
    with pytest.raises(InputError, match="pill is there but is not a whole category; move it away"):
        mvtec("pill")
    assert mvtec.server.asked == []


@pytest.mark.parametrize("asked", ["pills", ["bottle", "../bottle"], ["Bottle"]])
def test_an_unknown_category_lists_the_known(mvtec, asked):
    with pytest.raises(InputError, match="no category") as caught:
        mvtec(asked)
    assert all(name in one_line(caught) for name in CATEGORIES)
    assert mvtec.server.asked == []


def test_no_category_is_not_all(mvtec):
    with pytest.raises(InputError, match="no category asked for"):
        mvtec([])


def test_all_categories_are_the_default(mvtec):
    mvtec.server.content = whole = tar_bytes([m for name in CATEGORIES for m in category(name)])
    mvtec(sha256=hashlib.sha256(whole).hexdigest()[:16])
    assert names(mvtec.root) == list(CATEGORIES)


def test_a_kept_archive_serves_the_next_call_and_stays(mvtec, capsys):
    mvtec("pill", keep_archive=True)
    assert names(mvtec.root) == [download.ARCHIVE_NAME, "pill"]
    mvtec.server.asked.clear()
    mvtec("bottle")
    assert mvtec.server.asked == []
    assert names(mvtec.root) == ["bottle", download.ARCHIVE_NAME, "pill"]
    assert f"{download.ARCHIVE_NAME} is kept" in capsys.readouterr().err


def test_a_broken_download_goes_on_in_the_next_call(mvtec):
    half = len(ARCHIVE) // 2
    mvtec.server.drops = [half] + [0] * 4
    with pytest.raises(TransferError, match="broke off"):
        mvtec("pill")
    assert names(mvtec.root) == [f"{download.ARCHIVE_NAME}.part", f"{download.ARCHIVE_NAME}.part.json"]
    mvtec.server.asked.clear()
    mvtec("pill")
    assert mvtec.server.asked == [(f"bytes={half}-", '"first"')]
    assert tree(mvtec.root) == expected("pill")


def test_progress_of_transfer_check_and_extraction(mvtec, capsys):
    mvtec("pill", progress=True)
    said = capsys.readouterr().err
    for step in ("MVTec AD", f"checking {download.ARCHIVE_NAME}", f"extracting {download.ARCHIVE_NAME}"):
        assert f"{step}:" in said
