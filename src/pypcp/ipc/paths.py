"""Where files are: the run, state and log directories, configuration, the name space. See: pcp.conf(5), pcp.env(5).

What is *told* is used as it is, whoever we are: ``PCP_*`` in the environment, or in the file that ``PCP_CONF`` in the
environment names (the environment wins). Where nothing is told:

============ ======================================= ====================================== =========================
what         root                                    others                                 told by
============ ======================================= ====================================== =========================
run_dir      stock's (``/run/pcp``)                  ``$XDG_RUNTIME_DIR/pypcp``, or         ``PCP_RUN_DIR``
                                                     ``/tmp/pypcp-UID`` without one
state_dir    ``/var/lib/pypcp``                      ``$XDG_STATE_HOME/pypcp``              ``PCP_VAR_DIR`` + ``pypcp``
                                                                                            ``STATE_DIRECTORY``
log_dir      ``/var/log/pypcp``                      ``$XDG_STATE_HOME/pypcp/log``          ``PCP_LOG_DIR``
config_dirs  ``/etc/pypcp``, then stock's            ``$XDG_CONFIG_HOME/pypcp``,            ``PCP_SYSCONF_DIR`` alone
             (``/etc/pcp``)                          ``/etc/pypcp``, then stock's
name_space   stock's ``PCP_VAR_DIR/pmns/root``       the same                               ``PMNS_DEFAULT``
============ ======================================= ====================================== =========================

"Stock's" is what ``/etc/pcp.conf`` says, or PCP's usual place where that file is missing. Why so:

* Root's run directory is stock's because that is where local clients of any kind look for ``pmcd.socket``. A socket
  that somebody serves is never taken over (:mod:`pypcp.ipc.listeners`), so a running stock pmcd is safe.
* State is never stock's: two writers of one table of instance numbers would give one disk two numbers. It does not
  live below stock's directory by default either, so that numbers outlive an installed or removed stock. Told
  ``PCP_VAR_DIR``, which moves everything, it moves along, into a directory of its own there.
* Logs are not stock's because a daemon on another port would overwrite the log of a running stock pmcd; only one that
  stands in for stock's, in the background, writes it where stock's scripts look (:mod:`pypcp.pmcd.process_files`).
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from pypcp.errors import BadArgument, PermissionDenied

PMCD_SOCKET: Final = "pmcd.socket"
"""The name of pmcd's socket in the run directory."""

_MAX_CONF_BYTES: Final = 1 << 20
_SETTING: Final = re.compile(r"^\s*(PCP_[A-Z0-9_]+)=(.*?)\s*$", re.MULTILINE)
_STOCK_DEFAULTS: Final = {
    "PCP_BINADM_DIR": "/usr/lib/pcp/bin",
    "PCP_LOG_DIR": "/var/log/pcp",
    "PCP_RUN_DIR": "/run/pcp",
    "PCP_SYSCONF_DIR": "/etc/pcp",
    "PCP_USER": "pcp",
    "PCP_VAR_DIR": "/var/lib/pcp",
}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where files are, for one user in one environment; finding out touches nothing.

    ``pmcd_sockets`` are the sockets of a local pmcd, in the order in which a client tries them. ``settings`` are all
    ``PCP_*`` in force, of stock's file too; ``told`` those of them that say something else than that file does, as not
    all of the environment does that stock's ``pcp.env`` makes. ``private``: directories are made for their owner alone.
    """

    run_dir: Path
    state_dir: Path
    log_dir: Path
    config_dirs: tuple[Path, ...]
    name_space: Path
    pmcd_sockets: tuple[Path, ...]
    settings: Mapping[str, str]
    told: Mapping[str, str]
    uid: int
    private: bool

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, uid: int | None = None) -> Self:
        """The places for ``uid`` in ``environ``, by default ours; the module says in which order they are sought.

        ``BadArgument`` when ``PCP_CONF`` names a file that cannot be read.
        """
        environ = os.environ if environ is None else environ
        uid = os.geteuid() if uid is None else uid
        installed, told = _settings(environ)
        stock = {**_STOCK_DEFAULTS, **installed, **told}
        own = _root_places(stock) if uid == 0 else _user_places(environ, uid)
        run_dir = _told(told, "PCP_RUN_DIR") or own["run"]
        var_dir = _told(told, "PCP_VAR_DIR")
        stock_config = Path(stock["PCP_SYSCONF_DIR"])
        return cls(
            run_dir=run_dir,
            state_dir=var_dir / "pypcp" if var_dir else _state_of_unit(environ) or own["state"],
            log_dir=_told(told, "PCP_LOG_DIR") or own["log"],
            config_dirs=(stock_config,)
            if "PCP_SYSCONF_DIR" in told
            else tuple(dict.fromkeys((own["config"], Path("/etc/pypcp"), stock_config))),
            name_space=Path(environ.get("PMNS_DEFAULT") or f"{stock['PCP_VAR_DIR']}/pmns/root"),
            pmcd_sockets=_client_sockets(environ, run_dir, Path(stock["PCP_RUN_DIR"])),
            settings=MappingProxyType(stock),
            told=MappingProxyType(dict(told.items() - installed.items())),
            uid=uid,
            private=uid != 0,
        )

    def config_file(self, name: str, setting: str = "") -> Path | None:
        """The file that we are told, else the first ``name`` (``pmcd/pmcd.conf``) in the configuration directories.

        ``setting`` names the ``PCP_*`` setting that gives the place of the file (``PCP_PMCDCONF_PATH``). Told, it is
        that file or an error; what stock's ``/etc/pcp.conf`` says is tried last, where stock's directory has its turn.
        None where there is no file.
        """
        if told := self.told.get(setting):
            return Path(told)
        candidates = [directory / name for directory in self.config_dirs]
        if value := self.settings.get(setting):
            candidates.append(Path(value))
        return next((path for path in candidates if path.exists()), None)

    def make(self, directory: Path) -> Path:
        """Make a directory and what is missing above it; give it back.

        An ordinary user's directory must then belong to that user and be closed to all others: in ``/tmp`` somebody
        else may have been there first. ``PermissionDenied`` says what is wrong and what to do. One that is not among
        these places was named by somebody who knows it, and is taken as it is.
        """
        directory.mkdir(mode=0o700 if self.private else 0o755, parents=True, exist_ok=True)
        if self.private and any(map(directory.is_relative_to, (self.run_dir, self.state_dir, self.log_dir))):
            self._verify(directory)
        return directory

    def _verify(self, directory: Path) -> None:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise PermissionDenied(f"{directory} is a link and not a directory: remove it")
        if found.st_uid != self.uid:
            raise PermissionDenied(
                f"{directory} belongs to uid {found.st_uid}, not to us: remove it or set PCP_RUN_DIR"
            )
        forbidden = 0o077 if directory == self.run_dir else 0o022
        if found.st_mode & forbidden:
            mode = stat.S_IMODE(found.st_mode)
            raise PermissionDenied(
                f"{directory} is open to others (mode {mode:04o}): chmod it to {mode & ~forbidden:04o}"
            )


def _told(told: Mapping[str, str], name: str) -> Path | None:
    return Path(told[name]) if told.get(name) else None


def _state_of_unit(environ: Mapping[str, str]) -> Path | None:
    """The directory that systemd made for this service, None without one. See: systemd.exec(5), StateDirectory."""
    first = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if first.startswith("/") else None


def _settings(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What stock's installed file says, and what we are told."""
    from_environ = {name: value for name, value in environ.items() if name.startswith("PCP_") and value}
    if named := environ.get("PCP_CONF"):
        try:
            return {}, {**_read_settings(Path(named)), **from_environ}
        except (OSError, UnicodeError) as error:
            raise BadArgument(f"PCP_CONF names {named}, which cannot be read: {error}") from error
    try:
        return _read_settings(Path(environ.get("PCP_DIR", "") + "/etc/pcp.conf")), from_environ
    except (OSError, UnicodeError):
        return {}, from_environ


def _read_settings(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        text = file.read(_MAX_CONF_BYTES).decode()
    return {match[1]: value for match in _SETTING.finditer(text) if (value := _unquoted(match[2]))}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _root_places(stock: Mapping[str, str]) -> dict[str, Path]:
    return {
        "run": Path(stock["PCP_RUN_DIR"]),
        "state": Path("/var/lib/pypcp"),
        "log": Path("/var/log/pypcp"),
        "config": Path("/etc/pypcp"),
    }


def _user_places(environ: Mapping[str, str], uid: int) -> dict[str, Path]:
    home = environ.get("HOME") or _home(uid)
    state = _xdg(environ, "XDG_STATE_HOME", f"{home}/.local/state") / "pypcp"
    return {
        "run": _user_run_dir(environ, uid),
        "state": state,
        "log": state / "log",
        "config": _xdg(environ, "XDG_CONFIG_HOME", f"{home}/.config") / "pypcp",
    }


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:  # an account without an entry, as containers have them
        return f"/tmp/pypcp-{uid}"


def _xdg(environ: Mapping[str, str], name: str, default: str) -> Path:
    # The specification: a relative path is invalid and to be ignored.
    value = environ.get(name, "")
    return Path(value if value.startswith("/") else default)


def _user_run_dir(environ: Mapping[str, str], uid: int) -> Path:
    # After `su` the variable still names the directory of the user from before.
    given = _xdg(environ, "XDG_RUNTIME_DIR", "")
    try:
        usable = given.is_absolute() and given.stat().st_uid == uid
    except OSError:
        usable = False
    return given / "pypcp" if usable else Path(f"/tmp/pypcp-{uid}")


def _client_sockets(environ: Mapping[str, str], run_dir: Path, stock_run_dir: Path) -> tuple[Path, ...]:
    if told := environ.get("PMCD_SOCKET"):
        return (Path(told),)
    return tuple(dict.fromkeys((run_dir / PMCD_SOCKET, stock_run_dir / PMCD_SOCKET)))
