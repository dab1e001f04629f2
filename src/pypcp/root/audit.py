"""Who asked for what and what came of it: one line each, which nothing inside it can break or forge."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import time
from typing import TextIO

_MAX_FIELD = 256
_AUTHPRIV_NOTICE = 10 << 3 | 5
_SYSLOG = "/dev/log"
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\')


def escape(text: str | bytes) -> str:
    """Printable ASCII whatever came in: everything else becomes ``\\xNN``, and what is too long is cut, visibly."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    shown = "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in raw[:_MAX_FIELD])
    return shown if len(raw) <= _MAX_FIELD else f"{shown}...({len(raw)} bytes)"


def line(event: str, facts: dict[str, object]) -> str:
    """``event key=value key="text"``: numbers bare, texts quoted and escaped; a frozenset holds words of our own."""
    shown = (f"{key}={_shown(value)}" for key, value in facts.items())
    return " ".join([event, *shown])


def _shown(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    return f'"{" ".join(sorted(value))}"' if isinstance(value, frozenset) else f'"{escape(str(value))}"'


class AuditLog:
    """The log of the helper, and beside it the record that only root can have written.

    ``path`` is a file in a directory of root's; without one the record goes to syslog (authpriv). Ordinary messages
    go to ``stream`` only. A log that is full or gone costs its lines and nothing else.
    """

    def __init__(self, stream: TextIO | None = None, path: str | None = None) -> None:
        self._stream = stream or sys.stderr
        self._file = open_log(path) if path else None
        self._torn = False
        self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def note(self, event: str, **facts: object) -> None:
        """Tell the operator; nothing here needs to be proved later."""
        self._print(line(event, facts))

    def record(self, event: str, **facts: object) -> None:
        """Put on record: every start, every stop, every refusal."""
        text = line(event, facts)
        self._print(text)
        if self._file is None:
            with contextlib.suppress(OSError):  # by its path, so that a log daemon that was restarted is found again
                self._syslog.sendto(f"<{_AUTHPRIV_NOTICE}>pmdaroot[{os.getpid()}]: {text}".encode(), _SYSLOG)
        else:
            self._append(self._file, f"{_now()} pmdaroot[{os.getpid()}]: {text}\n".encode())

    def _append(self, file: int, entry: bytes) -> None:
        """A line of its own, also after one that the disk had only half the room for."""
        entry = b"\n" + entry if self._torn else entry
        with contextlib.suppress(OSError):
            self._torn = os.write(file, entry) < len(entry)

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(f"[{_now()}] pmdaroot({os.getpid()}) {text}\n")
            self._stream.flush()


def _now() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def open_log(path: str) -> int:
    """A descriptor that appends to ``path``. ``OSError`` unless it is a plain file of ours that has no other name.

    The directory may be another account's (stock's log directory is): a link or a file planted there is not followed.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(0, "is not a plain file of our own", path)
