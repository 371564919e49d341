#!/bin/sh
# Make .venv from requirements.lock, or leave it alone when it is already what the lock asks for.
#
# .venv/.ready is written last and removed before anything is changed, so an installation that was interrupted
# has none and is made again from nothing. It holds the folder (an environment cannot be moved) and a key of
# what was installed: the content of requirements.lock and pyproject.toml, and the version of uv.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
READY=.venv/.ready

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

minor_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" && echo "$PYTHON" && return
        echo "PYTHON=$PYTHON is no Python 3.11 to 3.13 with the modules venv and ensurepip." >&2
        exit 1
    fi
    # A name may be on PATH and still not run (the shims of pyenv), hence the trial.
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        usable "$candidate" && echo "$candidate" && return
    done
    echo "Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip is needed, and none was found." >&2
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
}

key() {
    "$1" - "$UV_VERSION" <<'PYTHON_CODE'
import hashlib, pathlib, sys

parts = [sys.argv[1].encode()]
parts += [pathlib.Path(name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
print(hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest())
PYTHON_CODE
}

venv_serves() {
    [ -f "$READY" ] && grep -qxF "folder $PWD" "$READY" && usable .venv/bin/python || return 1
    [ -z "${PYTHON:-}" ] || [ "$(minor_version "$PYTHON")" = "$(minor_version .venv/bin/python)" ]
}

[ -z "${PYTHON:-}" ] || choose_python >/dev/null
if venv_serves; then
    wanted=$(key .venv/bin/python)
    if grep -qxF "key $wanted" "$READY"; then
        exit 0
    fi
    echo "requirements.lock or pyproject.toml changed: bringing .venv up to date."
    rm -f "$READY"
else
    python=$(choose_python)
    echo "Making .venv with $python ($(minor_version "$python")); torch makes this a download of some gigabytes."
    rm -rf .venv
    "$python" -m venv .venv
    wanted=$(key .venv/bin/python)
fi

.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
.venv/bin/python -m uv pip sync --python .venv/bin/python --require-hashes requirements.lock
# hatchling comes from the lock, so no build environment has to be fetched; the dependencies are there too.
.venv/bin/python -m uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
printf 'folder %s\nkey %s\n' "$PWD" "$wanted" > "$READY"
