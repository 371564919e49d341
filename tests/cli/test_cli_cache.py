"""The cache of features between runs of the command line."""

import subprocess
import sys

from cli_pictures import NETWORK

from gad_core.cli import main


def test_a_damaged_cache_entry_is_recomputed_with_a_warning(run, root, cache):
    command = ("evaluate", "--data", root, "--category", "nut", *NETWORK)
    status, expected, err = run(*command)
    assert (status, err) == (0, "")
    entries = sorted(cache.rglob("*.npz"))
    assert len(entries) == 36
    entries[0].write_bytes(entries[0].read_bytes()[:-40])
    content = bytearray(entries[1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    entries[1].write_bytes(content)
    status, out, err = run(*command)
    assert (status, out) == (0, expected)
    assert err.count("gad: warning: ") == 2
    assert entries[0].name in err
    assert entries[1].name in err
    assert run(*command) == (0, expected, "")


def test_two_processes_fill_one_cache(run, root, cache):
    argv = ["evaluate", "--data", str(root), "--category", "nut", *NETWORK]
    words, piped = [sys.executable, "-m", "gad_core.cli", *argv], subprocess.PIPE
    both = [subprocess.Popen(words, stdout=piped, stderr=piped, text=True) for _ in range(2)]
    (out_a, err_a), (out_b, err_b) = (process.communicate() for process in both)
    assert [process.returncode for process in both] == [0, 0], err_a + err_b
    assert out_a == out_b
    assert len(list(cache.rglob("*.npz"))) == 36
    assert not list(cache.rglob(".*"))
    assert run(*argv)[1] == out_a


def test_a_second_run_needs_no_torch(root):
    argv = ["evaluate", "--data", str(root), "--category", "nut", *NETWORK]
    assert main(argv) == 0
    code = (
        f"import sys; from gad_core.cli import main; status = main({argv!r}); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
