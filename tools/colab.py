"""The first cell of each notebook: on Google Colab it installs the library, elsewhere it does nothing."""

from __future__ import annotations

TAGS = ["colab", "remove-cell"]
"""`colab` tells the cell from those of the chapter; `remove-cell` keeps it off a rendered page."""

# The versions that Colab has of the packages named are asked for, so pip leaves them alone: a kernel that has
# loaded them already would break, and Colab's torch is the one that fits its GPU.
_INSTALL = """\
# Google Colab has no gad-core: this installs it, and leaves numpy and torch
# as they are. Anywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import version

    kept = [f"{each}=={version(each)}" for each in ("numpy", "torch", "torchvision")]
    package = "gad-core[notebooks] @ git+{address}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package, *kept], check=True)
    print(f"Python {sys.version.split()[0]}", f"gad-core {version('gad-core')}", *kept, sep="\\n")"""

_NO_ADDRESS = """\
# On Google Colab this would install gad-core. Anywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    raise RuntimeError(
        "This notebook was written without the address of its repository, so it cannot install "
        "gad-core. In the repository, run 'make repository URL=https://github.com/owner/name', "
        "and open the notebook that this writes."
    )"""


def install_source(address: str | None) -> str:
    """Source of the cell.

    Parameters
    ----------
    address : str or None
        Web address of the repository. Without one the cell cannot install anything, and says so on Colab.

    Returns
    -------
    str
        Python code.
    """
    return _NO_ADDRESS if address is None else _INSTALL.replace("{address}", address)
