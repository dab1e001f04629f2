"""Our client tools as processes of their own, to be held against stock's."""

import re
import subprocess
import sys

from peers import clean_environment, stock

STOCK_NAMES = {"info": "pminfo", "probe": "pmprobe", "val": "pmval", "store": "pmstore"}


def ours(tool: str, *arguments: object, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run one of our tools to its end."""
    code = f"import sys; from pypcp.tools.{tool} import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
    )


def both(tool: str, *arguments: object) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """Stock's tool and ours with the same arguments."""
    return stock(STOCK_NAMES[tool], *arguments), ours(tool, *arguments)


def without_moments(text: str) -> str:
    """The text without times of day and the numbers of fetches: what is left is the same at any time."""
    return re.sub(r"fetch #\d+", "fetch", re.sub(r"\d\d:\d\d:\d\d\.\d+", "TIME", text))
