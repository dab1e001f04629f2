"""What the documentation says of itself and of the command lines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pypcp.tools.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]
COMMANDS_PAGE = ROOT / "docs" / "reference" / "commands.md"

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z0-9?][\w-]*")
HELP = {"-h", "--help"}
CLIENT_TOOLS = ("info", "probe", "val", "store")


def prose(page: Path) -> str:
    """A page without its code."""
    return FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called by those who show Markdown."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    assert dead_links(page) == []


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text()) if ":" not in link}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index} <= linked


def test_the_code_points_at_pages_that_there_are():
    source = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    pages = set(re.findall(r"docs/[\w./-]+\.md", source))
    assert pages
    assert [page for page in sorted(pages) if not (ROOT / page).exists()] == []


# The reference of the commands.


def sections() -> dict[str, str]:
    """The page's text about each command, by its words after `pypcp`."""
    parts = re.split(r"^##+ (.*)\n", COMMANDS_PAGE.read_text(), flags=re.MULTILINE)
    return {heading.removeprefix("pypcp "): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def documented(command: str) -> set[str]:
    """The options in the first columns of a command's tables."""
    text = sections()[command]
    if command in CLIENT_TOOLS:
        text += sections()["What the client tools have in common"]
    cells = re.findall(r"^\| (`-[^|]*) \|", text, re.MULTILINE)
    return set(OPTION.findall(" ".join(cells)))


def accepted(command: str) -> set[str]:
    """The options of which the command's own help tells."""
    words = [sys.executable, "-m", "pypcp.tools.main", *command.split(), "--help"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    heads = re.findall(r"^  (-.*?)(?:  |$)", told, re.MULTILINE)
    return {option for head in heads for option in re.findall(r"(?:^|, )(-[^\s,]+)", head)}


PARTS = {
    "root": ["root policy"],
    "user": ["user", "user add", "user remove", "user list"],
    "agent": [f"agent {word}" for word in ("new", "run", "check", "serve", "names", "list")],
}


def test_every_command_has_its_section():
    commands = [part for command in COMMANDS for part in PARTS.get(command, [command])]
    assert set(commands) <= set(sections())


@pytest.mark.slow
@pytest.mark.parametrize("command", [part for name in COMMANDS for part in PARTS.get(name, [name])])
def test_the_reference_lists_exactly_the_options_there_are(command):
    help_ = {"--help", "-?"} if command in CLIENT_TOOLS else {*HELP, "-?"}
    assert documented(command) - help_ == accepted(command) - help_
