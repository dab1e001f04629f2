"""pmdaroot's operations without any I/O: each yields its request, is sent the answer, and returns the result."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Generator
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from pypcp.errors import BadArgument, ChannelClosed, PcpError, RemoteProtocolError, RequestTimeout, from_code
from pypcp.wire.root import (
    MAX_MESSAGE,
    AgentIpc,
    Info,
    Kind,
    LookupReply,
    LookupRequest,
    Message,
    MessageReader,
    StartReply,
    StartRequest,
    StopReply,
    StopRequest,
    decode,
    encode,
)

_MAX_DESCRIPTORS = 2
_INT_BYTES = 4

T = TypeVar("T")


class RootProcess(NamedTuple):
    """A process that the helper started. Both descriptors are the caller's to close; -1 for a socket agent."""

    pid: int
    stdin: int = -1
    """What is written here the process reads."""
    stdout: int = -1
    """What the process writes is read here."""


class Answer(NamedTuple):
    """One message of the helper's, with the descriptors that came beside it."""

    message: Message
    descriptors: list[int]


Operation = Generator[Message, Answer, T]


def lookup(kind: Kind, name: str, pid: int = 0) -> Operation[LookupReply]:
    """Any of the three look-ups."""
    answer = yield LookupRequest(kind, name.encode(), pid)
    reply = expected(answer, LookupReply)
    if reply.kind != kind + 1:
        raise RemoteProtocolError(f"a reply of type {reply.kind:#x} to {kind.name}")
    return reply


def host_name(name: str, pid: int) -> Operation[str]:
    """See: pmdaRootContainerHostName(3)."""
    reply = yield from lookup(Kind.HOSTNAME_REQUEST, name, pid)
    return reply.text.decode("utf-8", "backslashreplace")


def process_id(name: str) -> Operation[int]:
    """See: pmdaRootContainerProcessID(3)."""
    reply = yield from lookup(Kind.PROCESSID_REQUEST, name)
    if reply.pid < 1:  # stock says so of a container that does not run, and calls it success
        raise from_code(-errno.ESRCH, f"container {name} has no process")
    return reply.pid


def cgroup(name: str) -> Operation[str]:
    """See: pmdaRootContainerCGroupName(3)."""
    reply = yield from lookup(Kind.CGROUPNAME_REQUEST, name)
    return "/" + os.fsdecode(reply.text).lstrip("/")


def start(label: str, command: str, ipc: AgentIpc) -> Operation[RootProcess]:
    """See: pmdaRootProcessStart(3)."""
    answer = yield StartRequest(label.encode(), command.encode(), ipc)
    wanted = _MAX_DESCRIPTORS if ipc == AgentIpc.PIPE else 0
    try:
        reply = expected(answer, StartReply, descriptors=True)
        if len(answer.descriptors) != wanted:
            raise RemoteProtocolError(f"{len(answer.descriptors)} descriptors for agent {label}, not {wanted}")
    except PcpError:
        _close_all(answer.descriptors)
        raise
    return RootProcess(reply.pid, *answer.descriptors)


def wait() -> Operation[tuple[int, int] | None]:
    """See: pmdaRootProcessWait(3)."""
    answer = yield StopRequest(-1, force=False)
    reply = expected(answer, StopReply)
    if reply.pid < 0:
        raise from_code(-errno.ECHILD, "the helper runs no process of ours")
    return (reply.pid, reply.code) if reply.pid else None


def terminate(pid: int, force: bool) -> Operation[None]:
    """See: pmdaRootProcessTerminate(3)."""
    answer = yield StopRequest(pid, force)
    expected(answer, StopReply)


M = TypeVar("M", Info, LookupReply, StartReply, StopReply)


def expected(answer: Answer, kind: type[M], *, descriptors: bool = False) -> M:
    """The message, if it is what it has to be; its negative status as an exception."""
    if not descriptors:
        _close_all(answer.descriptors)
    if not isinstance(answer.message, kind):
        raise RemoteProtocolError(f"{type(answer.message).__name__} where {kind.__name__} is due")
    if answer.message.status < 0:
        raise from_code(answer.message.status)
    return answer.message


class Incoming:
    """Collects one message and its descriptors from a stream, whatever pieces it comes in.

    A context manager: when it ends, the descriptors that no message has taken along are closed.
    """

    def __init__(self) -> None:
        self._frames = MessageReader()
        self._descriptors: list[int] = []

    def receive(self, channel: socket.socket) -> Answer | None:
        """Read what is there; the message once it is whole. ``ChannelClosed`` at the end of the stream."""
        room = socket.CMSG_LEN(_MAX_DESCRIPTORS * _INT_BYTES)
        data, ancillary, flags, _ = channel.recvmsg(MAX_MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
        self._descriptors += _passed(ancillary)
        if flags & socket.MSG_CTRUNC:
            raise RemoteProtocolError("more descriptors than any reply has")
        if not data:
            raise ChannelClosed("pmdaroot closed the connection")
        frames = self._frames.feed(data)
        if len(frames) > 1 or (frames and self._frames.held):
            raise RemoteProtocolError("more than one reply to a request")
        if not frames:
            return None
        answer = Answer(decode(frames[0]), self._descriptors)
        self._descriptors = []
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _close_all(self._descriptors)


def _passed(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in control messages."""
    found = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % _INT_BYTES
            found += [int.from_bytes(data[at : at + _INT_BYTES], sys.byteorder) for at in range(0, whole, _INT_BYTES)]
    return found


def is_idle(channel: socket.socket) -> bool:
    """Whether a request may be sent: the helper is there, and owes nothing."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return not poll.poll(0)


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def request(operation: Operation[T]) -> bytes:
    """What the operation asks, once. ``BadArgument``: a name or a command line that no request has room for."""
    try:
        return encode(next(operation))
    except ValueError as error:
        raise BadArgument(str(error)) from None


def finish(operation: Operation[T], answer: Answer) -> T:
    """The operation's result."""
    try:
        operation.send(answer)
    except StopIteration as result:
        value: T = result.value
        return value
    raise RuntimeError("an operation of pmdaroot asks once")


def as_error(error: OSError, path: str) -> PcpError:
    """A failure of the socket in the project's terms. A helper that is going away is a closed channel."""
    if isinstance(error, TimeoutError):
        return RequestTimeout("pmdaroot does not answer")
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return ChannelClosed("pmdaroot closed the connection")
    return from_code(-(error.errno or errno.EPERM), path)
