"""The pages with consoles, run as they are written: each file is saved, each command typed, each output compared."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peers import clean_environment, free_port, require, stock

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 60


class Shell:
    """A terminal in an empty directory, in which `pypcp`, `python` and stock's clients are found."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.started: list[subprocess.Popen] = []
        environment = clean_environment(HOME=str(directory), XDG_STATE_HOME=str(directory / "state"))
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        self.environment = environment

    def type(self, command: str) -> str:
        """What the command prints; one that ends in & goes on until the end of the tutorial."""
        command = command.replace("44987", str(self.port))
        if command.endswith("&"):
            with (self.directory / "background").open("w") as errors:
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {command[:-1]}"],
                    cwd=self.directory,
                    env=self.environment,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=True,
                )
            self.started.append(process)
            return ""
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
        return run.stdout

    def end(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


@pytest.fixture
def shell(tmp_path):
    made = Shell(tmp_path, free_port())
    yield made
    made.end()


def commands_in(block: str) -> list[tuple[str, str]]:
    """Each command of a console, and what it is said to print."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def as_said(said: str, printed: str) -> bool:
    """Is this what the page says, `...` standing for anything, empty lines and blanks at the end for nothing?"""
    pattern = ".*?".join(re.escape(piece) for piece in said.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def pages_with_consoles() -> list[Path]:
    return [page for page in sorted(DOCS.glob("*/*.md")) if "```console\n" in page.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with_consoles(), ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page, shell):
    require(stock("pminfo", "--version").returncode in (0, 1), "stock's clients")
    ran = 0
    for block in BLOCK.finditer(page.read_text()):
        if block["file"]:
            file = shell.directory / block["file"]
            file.write_text(block["text"].replace("44987", str(shell.port)))
        elif block["language"] == "console":
            for command, said in commands_in(block["text"]):
                printed = shell.type(command)
                assert as_said(said, printed.replace(str(shell.port), "44987")), (
                    f"$ {command}\n{printed}\nbut the page says\n{said}"
                )
                ran += 1
    assert ran
