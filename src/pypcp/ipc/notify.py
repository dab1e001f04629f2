"""Telling systemd how the daemon is. See: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

_SEND_LIMIT_S: Final = 1.0


class Notifier:
    """Messages to the service manager that ``NOTIFY_SOCKET`` names; without one every method does nothing.

    Each method says whether the message was delivered. None ever raises: a manager that does not listen is no reason
    to stop serving.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        name = self._environ.get("NOTIFY_SOCKET", "")
        # "@name" is how an abstract socket is written; other kinds (vsock:) are not for us.
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""

    def ready(self, status: str = "") -> bool:
        """The daemon serves; the process to watch is this one, whoever was started."""
        return self._send("READY=1", f"MAINPID={os.getpid()}", *_status(status))

    def status(self, text: str) -> bool:
        """One line for people, as ``systemctl status`` shows it."""
        return self._send(*_status(text))

    def stopping(self) -> bool:
        """The daemon has begun to end."""
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        """The daemon is alive; to be sent at least every :attr:`watchdog_interval_s`."""
        return self._send("WATCHDOG=1")

    @property
    def watchdog_interval_s(self) -> float | None:
        """How long the manager waits for :meth:`watchdog` before it ends us; None: it does not wait for that."""
        if self._environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        microseconds = self._environ.get("WATCHDOG_USEC", "")
        return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else None

    def _send(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_LIMIT_S)
            try:
                sender.sendto("\n".join(lines).encode(errors="replace"), self._address)
            except OSError:
                return False
        return True


def _status(text: str) -> list[str]:
    # A line end would begin another assignment.
    return [f"STATUS={' '.join(text.split())}"] if text else []
