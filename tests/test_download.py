"""MVTec AD from a server on this machine: what was asked for, what is on disk after."""

import hashlib
import re

import pytest
from mvtec_archive import ARCHIVE, ARCHIVE_SHA256, category, expected, tar_bytes, tree
from served import names, one_line

from gad_core.datasets import download
from gad_core.datasets.download import CATEGORIES, LICENCE_NOTICE, TransferError, download_mvtec
from gad_core.errors import InputError

pytestmark = pytest.mark.usefixtures("pauses")


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
