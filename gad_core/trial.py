"""Decode images on trial, in a process of its own: a file that crashes the decoder ends no more than that.

``python -m gad_core.trial`` is that process: it reads a path a line, as JSON, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from gad_core.errors import InputError
from gad_core.images import read_image


class Trial:
    """A process that decodes images; it is started when it is first needed, and again when it has died.

    Use it in a ``with`` block, which ends the process.
    """

    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def death(self, path: str | os.PathLike[str]) -> str:
        """Say how decoding a file ends the process that does it; empty text if it does not.

        Parameters
        ----------
        path : path-like
            The file. One that is refused, because it is missing or no image, ends no process.

        Returns
        -------
        str
            One line that names the file.

        Raises
        ------
        RuntimeError
            If the process ends before it is given a file.
        """
        # Two in a row: one may have been ended from outside.
        how = self._ending(path) and self._ending(path)
        if not how:
            return ""
        return f"{os.fspath(path)} ends the process that decodes it ({how}); copy or export the file again"

    def _ending(self, path: str | os.PathLike[str]) -> str:
        """Decode a file and say how that ended the process; empty text if it did not."""
        if self._process is None:
            self._process = self._started()
        if self._answers(json.dumps(os.fspath(path))):
            return ""
        process, self._process = self._process, None
        process.communicate()
        if process.returncode < 0:
            return signal.Signals(-process.returncode).name
        return f"exit status {process.returncode}"

    def _started(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, sys.path))  # a worker may have more than its environment says
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gad_core.trial"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if not self._answers("null"):
            raise RuntimeError("a process to decode images in could not be started")
        return self._process

    def _answers(self, line: str) -> bool:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        return bool(self._process.stdout.readline())


def main() -> None:
    """Decode the images of stdin; whoever wrote a line waits for its answer."""
    for line in sys.stdin:
        path = json.loads(line)
        if path is not None:
            with contextlib.suppress(InputError):  # whoever computes the features will say so
                read_image(path)
        print(flush=True)


if __name__ == "__main__":
    main()
