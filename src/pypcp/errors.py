"""Every error of PCP, by code: the only table of codes in the project.

One subclass of :class:`PcpError` per ``PM_ERR_*`` constant, a group class above those that are handled alike, and
two doors: :func:`from_code` for a number from the wire, :func:`lookup` for a name. The sentence of an error is what
``pmErrStr(3)`` prints for its code.

Codes on the wire live in three ranges: ``-errno`` of the sender (-1 to -12344), PCP's own (-12345 to -21344), and SASL
codes shifted by -21344. A positive code is not an error but a mask of state changes; see :mod:`pypcp.wire.pdu`.
"""

from __future__ import annotations

import os

PM_ERR_BASE = -12345
"""The first of PCP's own codes."""

SASL_BASE = -21344
"""SASL code k (-1 to -1000) travels as SASL_BASE + k."""

V1_SHIFT = 12345 - 1000
"""PCP 1.x numbered the same errors from -1000: v1 = v2 + V1_SHIFT."""

_BY_CODE: dict[int, type[PcpError]] = {}
_BY_CONSTANT: dict[str, type[PcpError]] = {}


class PcpError(Exception):
    """An error with a PCP code.

    ``code`` is the number on the wire (negative), ``constant`` its C name, ``sentence`` what ``pmErrStr(3)`` says.
    ``detail`` adds the facts of the case for people; it never travels.
    """

    code: int = PM_ERR_BASE
    constant: str = ""
    sentence: str = ""

    def __init_subclass__(cls, *, code: int = 0, constant: str = "", sentence: str = "") -> None:
        super().__init_subclass__()
        if code:
            cls.code, cls.constant, cls.sentence = code, constant, sentence
            _BY_CODE[code] = cls
            _BY_CONSTANT[constant] = cls

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.sentence}: {self.detail}" if self.detail else self.sentence

    def __reduce__(self) -> tuple[object, ...]:
        return from_code, (self.code, self.detail)


# Groups: what a caller handles alike.


class MetadataError(PcpError):
    """A name, identifier, type or text that the source does not have."""


class ConversionFailure(PcpError):
    """A value that cannot be had in the form asked for."""


class ChannelError(PcpError):
    """The conversation itself failed; the connection is of no more use."""


class AccessError(PcpError):
    """The peer may not do this."""


class AgentError(PcpError):
    """The agent that owns the metric cannot answer (now)."""


class ArchiveError(PcpError):
    """Something about an archive."""


class RequestError(PcpError):
    """The caller asked for something that cannot be asked."""


class OsError(PcpError):
    """``-errno`` of the process that sent it."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.sentence = os.strerror(-code)


class AuthenticationError(AccessError):
    """A SASL failure: code is SASL_BASE plus the SASL code."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.sentence = f"Authentication - {_SASL_SENTENCES.get(code - SASL_BASE, 'undefined error!')}"


class UnlistedError(PcpError):
    """A code that no table names; it keeps its number."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.sentence = error_string(code)


# One class per code, in the order of the codes.


class GenericError(
    RequestError, code=-12345, constant="PM_ERR_GENERIC", sentence="Generic error, already reported above"
):
    """Something failed where no better code exists."""


class PmnsError(MetadataError, code=-12346, constant="PM_ERR_PMNS", sentence="Problems parsing PMNS definitions"):
    """A name space file cannot be read."""


class NoPmns(MetadataError, code=-12347, constant="PM_ERR_NOPMNS", sentence="PMNS not accessible"):
    """There is no name space."""


class DuplicatePmns(MetadataError, code=-12348, constant="PM_ERR_DUPPMNS", sentence="Attempt to reload the PMNS"):
    """The name space is loaded already."""


class NoText(MetadataError, code=-12349, constant="PM_ERR_TEXT", sentence="One-line or help text is not available"):
    """No help text."""


class AppVersion(
    AgentError,
    code=-12350,
    constant="PM_ERR_APPVERSION",
    sentence="Metric not supported by this version of monitored application",
):
    """The monitored thing does not have this metric."""


class NoValue(AgentError, code=-12351, constant="PM_ERR_VALUE", sentence="Missing metric value(s)"):
    """A value is missing."""


class RequestTimeout(
    ChannelError, code=-12353, constant="PM_ERR_TIMEOUT", sentence="Timeout waiting for a response from PMCD"
):
    """No answer in time."""


class EmptyArchive(ArchiveError, code=-12354, constant="PM_ERR_NODATA", sentence="Empty archive log file"):
    """The archive has no records."""


class CollectorReset(ChannelError, code=-12355, constant="PM_ERR_RESET", sentence="PMCD reset or configuration change"):
    """The collector changed its configuration."""


class UnknownName(MetadataError, code=-12357, constant="PM_ERR_NAME", sentence="Unknown metric name"):
    """No such metric name."""


class UnknownPmid(MetadataError, code=-12358, constant="PM_ERR_PMID", sentence="Unknown or illegal metric identifier"):
    """No such metric identifier."""


class UnknownInDom(
    MetadataError,
    code=-12359,
    constant="PM_ERR_INDOM",
    sentence="Unknown or illegal instance domain identifier",
):
    """No such instance domain."""


class UnknownInstance(
    MetadataError, code=-12360, constant="PM_ERR_INST", sentence="Unknown or illegal instance identifier"
):
    """No such instance."""


class BadUnits(ConversionFailure, code=-12361, constant="PM_ERR_UNIT", sentence="Illegal pmUnits specification"):
    """Units that make no sense."""


class ConversionError(
    ConversionFailure, code=-12362, constant="PM_ERR_CONV", sentence="Impossible value or scale conversion"
):
    """The value does not convert."""


class TruncationError(
    ConversionFailure, code=-12363, constant="PM_ERR_TRUNC", sentence="Truncation in value conversion"
):
    """The value does not fit."""


class SignError(
    ConversionFailure,
    code=-12364,
    constant="PM_ERR_SIGN",
    sentence="Negative value in conversion to unsigned",
):
    """A negative value for an unsigned type."""


class ProfileRequired(
    RequestError, code=-12365, constant="PM_ERR_PROFILE", sentence="Explicit instance identifier(s) required"
):
    """The metric wants instances named."""


class ProtocolError(ChannelError, code=-12366, constant="PM_ERR_IPC", sentence="IPC protocol failure"):
    """Somebody broke the protocol."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: all that decoding ever raises."""


class ChannelClosed(ChannelError, code=-12368, constant="PM_ERR_EOF", sentence="IPC channel closed"):
    """The peer went away."""


class HostRequired(
    RequestError,
    code=-12369,
    constant="PM_ERR_NOTHOST",
    sentence="Operation requires context with host source of metrics",
):
    """Only a host context can do this."""


class EndOfArchive(ArchiveError, code=-12370, constant="PM_ERR_EOL", sentence="End of PCP archive log"):
    """No more records."""


class IllegalMode(RequestError, code=-12371, constant="PM_ERR_MODE", sentence="Illegal mode specification"):
    """No such mode."""


class ArchiveLabelError(
    ArchiveError,
    code=-12372,
    constant="PM_ERR_LABEL",
    sentence="Illegal label record at start of a PCP archive log file",
):
    """The archive's first record is bad."""


class CorruptRecord(
    ArchiveError, code=-12373, constant="PM_ERR_LOGREC", sentence="Corrupted record in a PCP archive log"
):
    """An archive record is bad."""


class ArchiveRequired(
    RequestError,
    code=-12374,
    constant="PM_ERR_NOTARCHIVE",
    sentence="Operation requires context with archive source of metrics",
):
    """Only an archive context can do this."""


class MissingArchiveFile(ArchiveError, code=-12375, constant="PM_ERR_LOGFILE", sentence="Missing PCP archive log file"):
    """A file of the archive is not there."""


class NoContext(RequestError, code=-12376, constant="PM_ERR_NOCONTEXT", sentence="Attempt to use an illegal context"):
    """No such context."""


class ProfileSpec(
    RequestError, code=-12377, constant="PM_ERR_PROFILESPEC", sentence="NULL pmInDom with non-NULL instlist"
):
    """Instances without an instance domain."""


class PmidNotInArchive(
    ArchiveError,
    code=-12378,
    constant="PM_ERR_PMID_LOG",
    sentence="Metric not defined in the PCP archive log",
):
    """The archive does not have the metric."""


class InDomNotInArchive(
    ArchiveError,
    code=-12379,
    constant="PM_ERR_INDOM_LOG",
    sentence="Instance domain identifier not defined in the PCP archive log",
):
    """The archive does not have the instance domain."""


class InstanceNotInArchive(
    ArchiveError,
    code=-12380,
    constant="PM_ERR_INST_LOG",
    sentence="Instance identifier not defined in the PCP archive log",
):
    """The archive does not have the instance."""


class MissingProfile(
    RequestError, code=-12381, constant="PM_ERR_NOPROFILE", sentence="Missing profile - protocol botch"
):
    """A fetch came before any profile."""


class NoAgent(AgentError, code=-12386, constant="PM_ERR_NOAGENT", sentence="No PMCD agent for domain of request"):
    """Nobody answers for this domain."""


class PermissionDenied(
    AccessError,
    code=-12387,
    constant="PM_ERR_PERMISSION",
    sentence="No permission to perform requested operation",
):
    """The peer may not do this."""


class ConnectionLimit(
    AccessError,
    code=-12388,
    constant="PM_ERR_CONNLIMIT",
    sentence="PMCD connection limit for this host exceeded",
):
    """Too many connections from this host."""


class TryAgain(
    AgentError,
    code=-12389,
    constant="PM_ERR_AGAIN",
    sentence="Try again. Information not currently available",
):
    """Not now; perhaps later."""


class AlreadyConnected(ChannelError, code=-12390, constant="PM_ERR_ISCONN", sentence="Already Connected"):
    """The channel is connected already."""


class NotConnected(ChannelError, code=-12391, constant="PM_ERR_NOTCONN", sentence="Not Connected"):
    """The channel is not connected; to an agent, the end of a client."""


class PortRequired(RequestError, code=-12392, constant="PM_ERR_NEEDPORT", sentence="A non-null port name is required"):
    """A port is missing."""


class NotLeaf(MetadataError, code=-12394, constant="PM_ERR_NONLEAF", sentence="Metric name is not a leaf in PMNS"):
    """The name has names below it."""


class BadType(MetadataError, code=-12397, constant="PM_ERR_TYPE", sentence="Unknown or illegal metric type"):
    """No such type."""


class ThreadError(
    RequestError,
    code=-12398,
    constant="PM_ERR_THREAD",
    sentence="Operation not supported for multi-threaded applications",
):
    """Not from several threads."""


class ContainerNotFound(AgentError, code=-12399, constant="PM_ERR_NOCONTAINER", sentence="Container not found"):
    """No such container, or more than one."""


class BadStore(RequestError, code=-12400, constant="PM_ERR_BADSTORE", sentence="Bad input to pmstore"):
    """The metric does not take this value."""


class ArchiveOverlap(ArchiveError, code=-12401, constant="PM_ERR_LOGOVERLAP", sentence="Archives overlap in time"):
    """Archives of one set overlap."""


class ArchiveHosts(ArchiveError, code=-12402, constant="PM_ERR_LOGHOST", sentence="Archives differ by host"):
    """Archives of one set are of different hosts."""


class ArchiveTypeChange(
    ArchiveError,
    code=-12404,
    constant="PM_ERR_LOGCHANGETYPE",
    sentence="The type of a metric has changed in an archive",
):
    """A metric changed its type."""


class ArchiveSemanticsChange(
    ArchiveError,
    code=-12405,
    constant="PM_ERR_LOGCHANGESEM",
    sentence="The semantics of a metric has changed in an archive",
):
    """A metric changed its semantics."""


class ArchiveInDomChange(
    ArchiveError,
    code=-12406,
    constant="PM_ERR_LOGCHANGEINDOM",
    sentence="The instance domain of a metric has changed in an archive",
):
    """A metric changed its instance domain."""


class ArchiveUnitsChange(
    ArchiveError,
    code=-12407,
    constant="PM_ERR_LOGCHANGEUNITS",
    sentence="The units of a metric have changed in an archive",
):
    """A metric changed its units."""


class ClientCertificateRequired(
    AccessError, code=-12408, constant="PM_ERR_NEEDCLIENTCERT", sentence="PMCD requires a client certificate"
):
    """No certificate, no service."""


class BadDerived(RequestError, code=-12409, constant="PM_ERR_BADDERIVE", sentence="Derived metric definition failed"):
    """A derived metric's expression is bad."""


class NoLabels(MetadataError, code=-12410, constant="PM_ERR_NOLABELS", sentence="No support for metric label metadata"):
    """The peer knows no labels."""


class AgentFenced(
    AgentError,
    code=-12411,
    constant="PM_ERR_PMDAFENCED",
    sentence="PMDA is currently fenced and unable to respond to requests",
):
    """An administrator fenced the agent."""


class RecordType(ArchiveError, code=-12412, constant="PM_ERR_RECTYPE", sentence="Incorrect record type in an archive"):
    """Not the record expected."""


class ArchiveFeature(ArchiveError, code=-12413, constant="PM_ERR_FEATURE", sentence="Archive feature not supported"):
    """The archive needs something newer."""


class TlsError(ChannelError, code=-12414, constant="PM_ERR_TLS", sentence="TLS protocol failure"):
    """TLS failed."""


class BadArgument(RequestError, code=-12415, constant="PM_ERR_ARG", sentence="Bad value for function argument"):
    """An argument is out of range."""


class InternalError(
    PcpError,
    code=-12442,
    constant="PM_ERR_BOTCH",
    sentence="Internal inconsistency detected or assertion failed",
):
    """A bug."""


class TooFew(RequestError, code=-12443, constant="PM_ERR_TOOSMALL", sentence="Insufficient elements in list"):
    """An empty list."""


class TooBig(RequestError, code=-12444, constant="PM_ERR_TOOBIG", sentence="Result size exceeded"):
    """More than a limit allows."""


class FaultInjected(PcpError, code=-12445, constant="PM_ERR_FAULT", sentence="QA fault injected"):
    """A fault on purpose."""


class AgentReady(AgentError, code=-13393, constant="PM_ERR_PMDAREADY", sentence="PMDA is now responsive to requests"):
    """An agent's word that it is ready."""


class AgentNotReady(
    AgentError,
    code=-13394,
    constant="PM_ERR_PMDANOTREADY",
    sentence="PMDA is not yet ready to respond to requests",
):
    """An agent's word that it is not ready."""


class NotSupported(RequestError, code=-21344, constant="PM_ERR_NYI", sentence="Functionality not yet implemented"):
    """The peer cannot do this."""


_SASL_SENTENCES = {
    -1: "generic failure",
    -2: "no memory available",
    -3: "overflowed buffer",
    -4: "no mechanism available",
    -5: "bad protocol / cancel",
    -6: "can't request information until later in exchange",
    -7: "invalid parameter supplied",
    -8: "transient failure (e.g., weak key)",
    -9: "integrity check failed",
    -10: "server failed mutual authentication step",
    -11: "mechanism doesn't support requested feature",
    -12: "SASL library is not initialized",
    -13: "authentication failure",
    -14: "authorization failure",
    -15: "mechanism too weak for this user",
    -16: "encryption needed to use mechanism",
    -17: "One time use of a plaintext password will enable requested mechanism for user",
    -18: "passphrase expired, has to be reset",
    -19: "account disabled",
    -20: "user not found",
    -21: "passphrase locked",
    -22: "requested change was not needed",
    -23: "version mismatch with plug-in",
    -24: "remote authentication server unavailable",
    -26: "user exists, but no verifier for user",
    -27: "passphrase is too weak for security policy",
    -28: "user supplied passwords are not permitted",
    -29: "sasl_setpass needs old password in order to perform password change",
    -30: "sasl_setpass can't store a property because of a constraint violation",
    -32: "channel binding failure",
    -100: "error when parsing configuration file",
}


def from_code(code: int, detail: str = "") -> PcpError:
    """The error of a negative code, whatever the number; unlisted ones keep it.

    ``ValueError`` for zero and above: those are no errors.
    """
    if code >= 0:
        raise ValueError(f"{code} is not an error code")
    if (cls := _BY_CODE.get(code)) is not None:
        return cls(detail)
    if code > PM_ERR_BASE:
        return OsError(code, detail)
    if SASL_BASE - 1000 <= code < SASL_BASE:
        return AuthenticationError(code, detail)
    return UnlistedError(code, detail)


def lookup(constant: str) -> type[PcpError]:
    """The class of a C constant, e.g. ``lookup("PM_ERR_NAME")``; ``KeyError`` where there is none."""
    return _BY_CONSTANT[constant]


def listed() -> list[type[PcpError]]:
    """Every error that has a constant, as ``pmerr -l`` lists them."""
    return [_BY_CODE[code] for code in sorted(_BY_CODE, reverse=True)]


def error_string(code: int) -> str:
    """The sentence for any number. See: pmErrStr(3)."""
    if code == 0:
        return "No error"
    if code < SASL_BASE:
        sasl = code - SASL_BASE
        if sasl >= -1000:
            return f"Authentication - {_SASL_SENTENCES.get(sasl, 'undefined error!')}"
        return f"Unknown secure sockets error {code} ({sasl})"
    if PM_ERR_BASE < code < 0:
        return os.strerror(-code)
    if (cls := _BY_CODE.get(code)) is not None:
        return cls.sentence
    return f"No such PMAPI error code ({code})"


def reason_of(error: Exception) -> str:
    """What is wrong, in words; of one of the system's errors without its number and its file."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def in_words(error: Exception) -> str:
    """What people are told: the reason, behind the file that one of the system's errors is about."""
    file = error.filename if isinstance(error, OSError) else None
    return reason_of(error) if file is None else f"{file}: {reason_of(error)}"


def to_v1(code: int) -> int:
    """A code in PCP 1.x numbering; errno values pass through. See: "Version 1" in docs/reference/protocol.md."""
    return code + V1_SHIFT if code <= PM_ERR_BASE else code


def from_v1(code: int) -> int:
    """A PCP 1.x code in today's numbering; errno values pass through."""
    return code - V1_SHIFT if code <= -1000 else code
