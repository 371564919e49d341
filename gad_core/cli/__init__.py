"""The command ``gad``: from image files to a verdict without writing Python."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from gad_core.cli.parser import build_parser
from gad_core.errors import InputError

BAD_INPUT = 2
INTERRUPTED = 130
UNEXPECTED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; default: those of the process.

    Returns
    -------
    int
        Exit status: 0 on success, 2 on bad input (after one line on stderr that says what to mend), 130 when
        interrupted, 1 on an unexpected error (``GAD_DEBUG=1`` shows its traceback).
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may not fit the terminal's encoding
    args = build_parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _one_line_warning
        try:
            args.run(args)
            sys.stdout.flush()
        except InputError as error:
            return _failed(str(error), BAD_INPUT)
        except BrokenPipeError:
            # The reader (head, less) has seen enough; the interpreter must not flush again on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            return _failed(_of_system(error), BAD_INPUT)
        except KeyboardInterrupt:
            return _failed(_of_interrupt(args), INTERRUPTED)
        except Exception as error:
            if os.environ.get("GAD_DEBUG"):
                raise
            return _failed(
                f"unexpected {type(error).__name__}: {error} (GAD_DEBUG=1 shows where)", UNEXPECTED
            )
    return 0


def _open_closed_streams() -> None:
    """Let output and messages go nowhere if they were closed (``2>&-``): libraries write to them unasked."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until exit


def _of_interrupt(args: argparse.Namespace) -> str:
    """Say whether a second run goes on where the first one was; without a cache it does not."""
    if getattr(args, "keeps_results", False) or _keeps_features(args):
        return "interrupted; what is finished is kept, run again to go on"
    return "interrupted; no features are kept without a cache, a second run begins anew"


def _keeps_features(args: argparse.Namespace) -> bool:
    return getattr(args, "cache", "auto") is not None and not getattr(args, "profile", False)


def _failed(message: str, status: int) -> int:
    print(f"gad: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _of_system(error: OSError) -> str:
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name)
    return f"{error.strerror or error}{': ' if names else ''}{names}"


def _one_line_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"gad: warning: {message}", file=sys.stderr)
