"""``pypcp agent run``: an agent's values at once, and again whenever its file or one beside it is saved."""

from __future__ import annotations

import contextlib
import importlib
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.values import ValueType
from pypcp.pmda.mistakes import author_traceback, mistake_in
from pypcp.pmda.testing import AgentTester, Fetched
from pypcp.tools.agent import agent_parser
from pypcp.tools.client_options import guarded
from pypcp.tools.render import units_text, value_text

_LOOK_S: Final = 0.2
_PYTHONS: Final = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
_INSTALLED: Final = {"site-packages", "dist-packages"}
_NAME_WIDTH: Final = 40


def main(argv: Sequence[str]) -> int:
    """Print values until interrupted; the exit status."""
    parser = agent_parser(
        "run", "Show an agent's values, and again on every save of its file or one beside it, until interrupted."
    )
    parser.add_argument("names", metavar="METRIC", nargs="*", help="show these, or all below these names, only")
    parser.add_argument("--once", action="store_true", help="show them once")
    given = parser.parse_intermixed_args(argv)
    return guarded(parser.prog, lambda: _run(given.agent, given.names, once=given.once))


def _run(agent: str, names: Sequence[str], *, once: bool) -> int:
    if once:
        return 0 if _show(agent, names) else 1
    try:
        _show_on_every_save(agent, names)
    except KeyboardInterrupt:
        print()
    return 0


def _show_on_every_save(agent: str, names: Sequence[str]) -> None:
    # Compiled files are told apart by the second, and an author saves twice in one.
    sys.dont_write_bytecode = True
    file = Path(agent).resolve()
    watch = file.is_file()
    shown = _show_now(agent, names, _saved(file))
    # The name of an installed agent is no file: it is shown once, and looked at no more.
    while watch:
        time.sleep(_LOOK_S)
        now = _saved(file)
        if now != shown and file in now:  # an editor that saves under another name is about to rename it
            for name in _modules_beside(file):
                del sys.modules[name]
            importlib.invalidate_caches()
            shown = _show_now(agent, names, now)


def _saved(file: Path) -> dict[Path, int]:
    """When the agent's file, those beside it, and what they have imported from there were saved (nanoseconds)."""
    found = {}
    for path in {file, *file.parent.glob("*.py"), *_modules_beside(file).values()}:
        with contextlib.suppress(OSError):
            found[path] = path.stat().st_mtime_ns
    return found


def _modules_beside(file: Path) -> dict[str, Path]:
    """The modules that were imported from the directory of an agent's file, packages there included.

    But not Python's own, ours, or what is installed, which may lie below it, too.
    """
    directory = file.resolve().parent
    found = {}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "/").resolve()
        if not path.is_relative_to(directory) or name == "__main__" or name.partition(".")[0] == "pypcp":
            continue
        if _INSTALLED.isdisjoint(path.parts) and not any(path.is_relative_to(each) for each in _PYTHONS):
            found[name] = path
    return found


def _show_now(agent: str, names: Sequence[str], before: Mapping[Path, int]) -> dict[Path, int]:
    """Show it, given when its files were saved before; when those that it is made of now were saved."""
    began_ns = time.time_ns()
    print(f"--- {agent}, {time.strftime('%H:%M:%S')}", flush=True)
    _show(agent, names)
    # What was saved again meanwhile has perhaps not been shown, and is not known yet where it was imported just now.
    now = _saved(Path(agent).resolve())
    return {path: before.get(path, saved if saved < began_ns else 0) for path, saved in now.items()}


def _show(agent: str, names: Sequence[str]) -> bool:
    """Print all values; is it an agent at all?"""
    try:
        with AgentTester(agent) as tester:
            for below in names or [""]:
                for name in tester.names(below):
                    print("\n".join(_lines(tester, name)), flush=True)
    except PcpError as error:
        print(f"pypcp agent run: {mistake_in(error)}", file=sys.stderr)
    except BrokenPipeError:
        raise  # whoever reads what is shown has gone
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's code, which is being written just now
        print(author_traceback(error), end="", file=sys.stderr)
    else:
        return True
    return False


def _lines(tester: AgentTester, name: str) -> Iterator[str]:
    desc = tester.desc(name)
    try:
        fetched = tester.fetch(name)
    except (PcpError, AssertionError) as error:
        yield f"{name:<{_NAME_WIDTH}} {error}"
        return
    yield from _values(name, desc, fetched)


def _values(name: str, desc: Desc, fetched: Fetched) -> Iterator[str]:
    units = "" if units_text(desc) == "none" else f" {units_text(desc)}"
    type_ = ValueType(desc.type)
    if isinstance(fetched, dict):
        yield f"{name}{units and f' ({units.strip()})'}"
        for instance, value in fetched.items():
            yield f"    {instance:<{_NAME_WIDTH - 4}} {value_text(value, type_)}"
    else:
        shown = "no value" if fetched is None else value_text(fetched, type_) + units
        yield f"{name:<{_NAME_WIDTH}} {shown}"
