"""Archives as MVTec AD comes in, made in memory."""

import hashlib
import io
import tarfile
from pathlib import Path


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
