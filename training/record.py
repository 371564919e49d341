"""What a folder was made from, noted in it, so that files of another make are never used unnoticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gad_core.errors import InputError
from gad_core.files import replacing

NAME = "made_from.json"


def claim(folder: Path, facts: Mapping[str, Any]) -> None:
    """Note what a folder is made from, or check that it is what was noted before.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing.
    facts : mapping
        All that decides the content of the folder, as JSON can write it.

    Raises
    ------
    InputError
        If the folder was begun with other facts.
    """
    path = folder / NAME
    if path.is_file():
        before = read_facts(folder)
        differ = [key for key in {*before, *facts} if before.get(key) != facts.get(key)]
        if differ:
            was = ", ".join(f"{key} {before.get(key)!r}" for key in sorted(differ))
            raise InputError(f"{folder} was begun with {was}: choose another folder, or delete this one")
        return
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(dict(facts), indent=1) + "\n", "utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """Read what a folder was made from; InputError if that was not noted."""
    try:
        facts: dict[str, Any] = json.loads((folder / NAME).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} does not say what it was made from ({error}); make it again") from error
    return facts
