"""Get one file over HTTP: resume what broke off, verify it, never leave half a file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gad_core import __version__, files
from gad_core.datasets.storage import byte_bar, readable, require_space, write_errors
from gad_core.errors import InputError

_BLOCK = 1 << 18
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further attempt that brings nothing new."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers that may well be another one a moment later."""


class TransferError(InputError):
    """A server did not deliver the file: out of reach, an HTTP error, or other content than expected."""


class _BrokenError(Exception):
    """An attempt ended before the file did; the message is the user's, if no further attempt helps."""


class _UnreachableError(_BrokenError):
    """No connection came about at all."""


def fetch(
    url: str,
    path: str | os.PathLike[str],
    sha256: str | None = None,
    *,
    description: str = "",
    progress: bool | None = None,
    timeout: float = 30,
) -> Path:
    """Download a file, going on where an earlier attempt stopped.

    What has arrived is kept in ``<path>.part`` until it is whole and verified; only then it gets the name
    `path`. A connection that breaks off is tried again a few times. Proxies are taken from the environment.

    Parameters
    ----------
    url : str
        Address, http or https.
    path : path-like
        Where the file goes; its folder is made. A file that is there already is taken as it is if it has the
        checksum, or if none is given; otherwise it is replaced with a warning.
    sha256 : str, optional
        Leading hexadecimal digits of the SHA-256, 8 to all 64.
    description : str, optional
        Text before the progress bar; the name of the file by default.
    progress : bool, optional
        True shows a bar on stderr, False none, None (default) one if stderr is a terminal.
    timeout : float, optional
        Seconds without any answer after which a connection counts as broken.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    TransferError
        If the host is out of reach, answers with an error, or the checksum is wrong.
    InputError
        If the arguments are wrong, the folder cannot be written to or the disk is full.
    """
    transfer = _Transfer(url, Path(path), None if sha256 is None else sha256.lower(), timeout)
    transfer.check_arguments()
    after = "the transfer goes on where it stopped"
    with write_errors(transfer.target, url, transfer.missing, after):
        if transfer.is_done():
            return transfer.target
        transfer.target.parent.mkdir(parents=True, exist_ok=True)
        with byte_bar(description or transfer.target.name, None, progress) as bar:
            _download(transfer, bar)
    return transfer.target


@dataclass
class _Transfer:
    """One file's address and what is on disk of it."""

    url: str
    target: Path
    sha256: str | None
    timeout: float
    total: int | None = None

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def notes(self) -> Path:
        """Which version of the content the part belongs to, as the server named it."""
        return self.target.with_name(self.target.name + ".part.json")

    def check_arguments(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise InputError(
                f"sha256={self.sha256!r} is not a checksum; give 8 to 64 hexadecimal digits or None"
            )
        try:
            parts = urllib.parse.urlsplit(self.url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not re.fullmatch(r"[!-~]+", self.url):
            raise InputError(
                f"{self.url!r} is not a web address; give one that begins with http:// or https://"
            )

    def is_done(self) -> bool:
        if self.target.is_dir():
            raise InputError(f"{self.url}: {self.target} is a folder; name the file to write")
        if not self.target.exists():
            return False
        if self.sha256 is None or files.sha256(self.target).startswith(self.sha256):
            return True
        warnings.warn(
            f"{self.target} does not have the checksum {self.sha256}; fetching it again", stacklevel=3
        )
        return False

    def received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def missing(self) -> int | None:
        return None if self.total is None else self.total - self.received()

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def remember(self, headers: Message) -> None:
        tag = headers.get("ETag", "")
        # A weak tag promises like content, not the same bytes, so it cannot join pieces (RFC 9110, 8.8.1).
        validator = tag if tag.startswith('"') else headers.get("Last-Modified")
        with files.replacing(self.notes) as temporary:
            temporary.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def validator(self) -> str | None:
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return notes["validator"] if notes["url"] == self.url else None


def _download(transfer: _Transfer, bar: tqdm) -> None:
    resumed = transfer.received() > 0
    found = _received_digest(transfer, bar)
    expected = transfer.sha256 or ""
    if resumed and not found.startswith(expected):
        transfer.discard()  # the old part may have been of other content, so this file gets one clean attempt
        found = _received_digest(transfer, bar)
    if not found.startswith(expected):
        transfer.discard()
        raise TransferError(
            f"{transfer.url}: wrong checksum, the SHA-256 begins with {found[: len(expected)]} and not with "
            f"{expected}; what arrived was removed, run again or {_by_hand(transfer)}"
        )
    transfer.part.replace(transfer.target)
    transfer.notes.unlink(missing_ok=True)


def _received_digest(transfer: _Transfer, bar: tqdm) -> str:
    """Receive until the part is whole; its SHA-256, or nothing if nobody asks for it."""
    before = most = transfer.received()
    pauses = iter(_PAUSES)
    while True:
        try:
            _receive(transfer, bar)
            return files.sha256(transfer.part) if transfer.sha256 else ""
        except _BrokenError as error:
            # Counted against the best attempt, or a server that cannot resume would be asked for ever.
            if transfer.received() > most:
                most, pauses = transfer.received(), iter(_PAUSES)
            pause = next(pauses, None)
            if pause is None or (isinstance(error, _UnreachableError) and most == before):
                raise TransferError(str(error)) from error
            time.sleep(pause)


def _receive(transfer: _Transfer, bar: tqdm) -> None:
    """One request, appended to the part as far as it comes."""
    resumable = transfer.sha256 is not None or transfer.validator() is not None
    offset = transfer.received() if resumable else 0
    with contextlib.closing(_open(transfer, offset)) as response:
        if response.status == 416 and response.headers.get("Content-Range") == f"bytes */{offset}":
            return  # the part is whole: there is nothing behind its end
        extent = _extent(response, offset)
        if extent is not None:
            _append(transfer, response, *extent, bar)
            return
        if not offset:
            raise TransferError(
                f"{transfer.url}: not the answer of a file server (HTTP {response.status}); check it"
            )
    transfer.discard()
    _receive(transfer, bar)


def _open(transfer: _Transfer, offset: int) -> Any:
    headers = {"User-Agent": f"gad-core/{__version__}"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator := transfer.validator():
            headers["If-Range"] = validator
    try:
        # An opener of its own: urlopen keeps one per process, with the proxies of its first use.
        opener = urllib.request.build_opener()
        return opener.open(urllib.request.Request(transfer.url, headers=headers), timeout=transfer.timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and offset:
            return error
        error.close()
        reason = " ".join(str(error.reason).split())  # that of an endless redirection has several lines
        message = f"{transfer.url}: the server answered {error.code} {reason}"
        if error.code in _PASSING:
            raise _BrokenError(f"{message}; try again later") from error
        raise TransferError(f"{message}; check the address or {_by_hand(transfer)}") from error
    except urllib.error.URLError as error:
        host = urllib.parse.urlsplit(transfer.url).hostname
        raise _UnreachableError(
            f"{transfer.url}: cannot reach {host} ({error.reason}); check the network connection and "
            f"the proxy settings, or {_by_hand(transfer)}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken(transfer, error) from error


def _extent(response: Any, offset: int) -> tuple[int, int | None] | None:
    """Where in the file an answer starts and how long the file is; None if that does not fit `offset`."""
    if response.status == 200:
        return 0, response.length
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status != 206 or found is None or int(found[1]) != offset:
        return None
    if found[2] != "*":
        return offset, int(found[2])
    return offset, None if response.length is None else offset + response.length


def _append(transfer: _Transfer, response: Any, start: int, total: int | None, bar: tqdm) -> None:
    if not start:
        transfer.discard()
        transfer.remember(response.headers)
    transfer.total = total
    if total is not None:
        require_space(transfer.part.parent, total - start, transfer.url)
    bar.total, bar.n, bar.initial = total, start, start
    bar.refresh()
    with transfer.part.open("ab") as file:
        for block in _blocks(transfer, response):
            file.write(block)
            bar.update(len(block))
    if total is not None and transfer.received() != total:
        raise _broken(transfer, ConnectionError("the connection was closed"))


def _blocks(transfer: _Transfer, response: Any) -> Iterator[bytes]:
    # Errors of the connection are told apart here from those of the disk, which are OSErrors as well.
    while True:
        try:
            block = response.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(transfer, error) from error
        if not block:
            return
        yield block


def _broken(transfer: _Transfer, error: Exception) -> _BrokenError:
    so_far = readable(transfer.received())
    of_all = "" if transfer.total is None else f" of {readable(transfer.total)}"
    reason = str(error) or type(error).__name__
    return _BrokenError(
        f"{transfer.url}: broke off after {so_far}{of_all} ({reason}); run again, it goes on where it stopped"
    )


def _by_hand(transfer: _Transfer) -> str:
    return f"get the file by other means and save it as {transfer.target}"
