"""What the system says went wrong with a connection, as PCP's errors."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

from pypcp.errors import ChannelClosed, OsError, PcpError, RequestTimeout, TlsError

_GONE: Final = {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENOTCONN}


def connect_failure(error: OSError | UnicodeError, where: object) -> PcpError:
    """The error of a connection that was not made: ``RequestTimeout`` or ``OsError``."""
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"connecting to {where}")
    if isinstance(error, UnicodeError):
        # Python's own look at a name, before any resolver's: an empty label, or one of more than 63 bytes.
        return OsError(-errno.EHOSTUNREACH, f"{where}: no host can have that name")
    if isinstance(error, socket.gaierror):
        # What libpcp says of a host that it cannot find.
        return OsError(-errno.EHOSTUNREACH, f"{where}: {error.strerror}")
    return OsError(-(error.errno or errno.EIO), str(where))


def stream_failure(error: OSError, where: object) -> PcpError:
    """The error of a connection that broke: ``RequestTimeout``, ``ChannelClosed``, ``TlsError`` or ``OsError``."""
    if isinstance(error, TimeoutError):
        return RequestTimeout(str(where))
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or error.errno in _GONE:
        return ChannelClosed(str(where))
    if isinstance(error, ssl.SSLError):
        return TlsError(f"{where}: {error.reason or error}")
    return OsError(-(error.errno or errno.EIO), str(where))
