"""Files fetched from a server on this machine: what arrives, and how a broken transfer goes on."""

import hashlib
import http.client

import pytest
from served import CONTENT, SHA256, names, one_line

from gad_core.datasets import transfer
from gad_core.datasets.download import TransferError, fetch

pytestmark = pytest.mark.usefixtures("pauses")


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
