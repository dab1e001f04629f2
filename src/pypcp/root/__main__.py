"""The image of the helper: ``python -I -S -B .../pypcp/root/__main__.py``, with nothing of the caller's in it.

The ground is checked before anything but the interpreter's own modules is loaded from it.
"""

import os
import sys

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if _PACKAGES not in sys.path:
    sys.path.append(_PACKAGES)


def _start(argv: list[str]) -> int:
    from pypcp.root import ground

    if os.geteuid() == 0 and "--trust-environment" not in argv and argv[:1] != ["policy"]:
        try:
            ground.check_all(ground.own_ground())
        except ground.UntrustedGround as fault:
            print(f"pmdaroot: refuses to run as root from here:\n{fault}\n{_ADVICE}", file=sys.stderr)
            return 1
    if argv[:1] == ["policy"]:
        from pypcp.root.policy_report import main as report

        return report(argv[1:])
    from pypcp.root.main import main

    return main(argv)


_ADVICE = """\
Whoever can change these can become root. Install the package where only root can write, for instance:
    sudo python3 -m venv /opt/pypcp && sudo /opt/pypcp/bin/pip install pypcp
(--trust-environment starts it anyway, for development.)"""

if __name__ == "__main__":
    sys.exit(_start(sys.argv[1:]))
