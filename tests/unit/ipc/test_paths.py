import os
import stat
from pathlib import Path

import pytest

from pypcp.errors import BadArgument, PermissionDenied
from pypcp.ipc.paths import Paths

USER = 1000


@pytest.fixture
def stock_conf(tmp_path: Path) -> dict[str, str]:
    """An environment with a PCP installed below a directory of its own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pcp.conf").write_text(
        "# comment\nPCP_RUN_DIR=/opt/run\n PCP_VAR_DIR='/opt/var' \nPCP_SYSCONF_DIR=/opt/etc\n"
        'PCP_AWK_PROG="gawk --posix"\nPCP_EMPTY=\nnonsense\n'
    )
    return {"PCP_DIR": str(tmp_path), "HOME": "/home/me"}


def test_without_stock_root_uses_stocks_run_directory_and_its_own_others(tmp_path):
    paths = Paths.find({"PCP_DIR": str(tmp_path)}, uid=0)
    assert paths.run_dir == Path("/run/pcp")
    assert paths.state_dir == Path("/var/lib/pypcp")
    assert paths.log_dir == Path("/var/log/pypcp")
    assert paths.config_dirs == (Path("/etc/pypcp"), Path("/etc/pcp"))
    assert paths.name_space == Path("/var/lib/pcp/pmns/root")
    assert paths.pmcd_sockets == (Path("/run/pcp/pmcd.socket"),)
    assert not paths.private


def test_root_follows_the_installed_stock_for_the_run_directory_but_never_for_state_and_logs(stock_conf):
    paths = Paths.find(stock_conf, uid=0)
    assert paths.run_dir == Path("/opt/run")
    assert paths.state_dir == Path("/var/lib/pypcp")
    assert paths.log_dir == Path("/var/log/pypcp")
    assert paths.config_dirs == (Path("/etc/pypcp"), Path("/opt/etc"))
    assert paths.name_space == Path("/opt/var/pmns/root")
    assert paths.settings["PCP_AWK_PROG"] == "gawk --posix"
    assert "PCP_EMPTY" not in paths.settings


def test_an_ordinary_user_has_the_xdg_directories(stock_conf, tmp_path):
    uid = tmp_path.stat().st_uid or USER
    os.chown(tmp_path, uid, -1)
    environ = stock_conf | {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}
    paths = Paths.find(environ, uid=uid)
    assert paths.run_dir == tmp_path / "pypcp"
    assert paths.state_dir == Path("/s/pypcp")
    assert paths.log_dir == Path("/s/pypcp/log")
    assert paths.config_dirs == (Path("/c/pypcp"), Path("/etc/pypcp"), Path("/opt/etc"))
    assert paths.pmcd_sockets == (tmp_path / "pypcp/pmcd.socket", Path("/opt/run/pmcd.socket"))
    assert paths.private


def test_the_state_of_a_service_is_where_systemd_made_room_for_it(stock_conf):
    environ = stock_conf | {"STATE_DIRECTORY": "/var/lib/pypcp:/var/lib/more", "XDG_STATE_HOME": "/s"}
    assert Paths.find(environ, uid=USER).state_dir == Path("/var/lib/pypcp")
    assert Paths.find(environ | {"PCP_VAR_DIR": "/told"}, uid=USER).state_dir == Path("/told/pypcp")


def test_without_xdg_variables_an_ordinary_user_has_their_defaults(stock_conf):
    paths = Paths.find(stock_conf | {"XDG_STATE_HOME": "relative/counts/for/nothing"}, uid=USER)
    assert paths.run_dir == Path("/tmp/pypcp-1000")
    assert paths.state_dir == Path("/home/me/.local/state/pypcp")
    assert paths.config_dirs[0] == Path("/home/me/.config/pypcp")


def test_the_runtime_directory_of_another_user_is_not_ours(stock_conf, tmp_path):
    foreign = tmp_path.stat().st_uid + 1
    paths = Paths.find(stock_conf | {"XDG_RUNTIME_DIR": str(tmp_path)}, uid=foreign)
    assert paths.run_dir == Path(f"/tmp/pypcp-{foreign}")


def test_an_account_without_home_or_entry_still_has_places(stock_conf):
    paths = Paths.find({"PCP_DIR": stock_conf["PCP_DIR"]}, uid=987654)
    assert paths.state_dir == Path("/tmp/pypcp-987654/.local/state/pypcp")


@pytest.mark.parametrize("uid", [0, USER])
def test_what_the_environment_tells_is_used_whoever_we_are(stock_conf, uid):
    told = {"PCP_RUN_DIR": "/t/run", "PCP_VAR_DIR": "/t/var", "PCP_LOG_DIR": "/t/log", "PCP_SYSCONF_DIR": "/t/etc"}
    paths = Paths.find(stock_conf | told, uid=uid)
    assert paths.run_dir == Path("/t/run")
    assert paths.state_dir == Path("/t/var/pypcp")
    assert paths.log_dir == Path("/t/log")
    assert paths.config_dirs == (Path("/t/etc"),)
    assert paths.name_space == Path("/t/var/pmns/root")
    assert paths.pmcd_sockets == (Path("/t/run/pmcd.socket"),)


def test_the_file_that_pcp_conf_names_tells_too_and_the_environment_wins(stock_conf):
    named = {"PCP_CONF": stock_conf["PCP_DIR"] + "/etc/pcp.conf", "HOME": "/home/me", "PCP_RUN_DIR": "/t/run"}
    paths = Paths.find(named, uid=USER)
    assert paths.run_dir == Path("/t/run")
    assert paths.state_dir == Path("/opt/var/pypcp")
    assert paths.config_dirs == (Path("/opt/etc"),)


def test_a_named_configuration_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(BadArgument, match=r"PCP_CONF names .*/nosuch, which cannot be read"):
        Paths.find({"PCP_CONF": str(tmp_path / "nosuch")}, uid=0)


def test_single_variables_name_the_name_space_and_the_socket(stock_conf):
    paths = Paths.find(stock_conf | {"PMNS_DEFAULT": "/n", "PMCD_SOCKET": "/s"}, uid=0)
    assert (paths.name_space, paths.pmcd_sockets) == (Path("/n"), (Path("/s"),))


def test_a_configuration_file_is_the_first_one_there(tmp_path):
    """Stock's file says where it may be last of all."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pcp.conf").write_text(f"PCP_SYSCONF_DIR={tmp_path}/stock\nPCP_PMCDCONF_PATH={tmp_path}/stocks\n")
    environ = {"PCP_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "mine"), "HOME": str(tmp_path)}
    paths = Paths.find(environ, uid=USER)
    assert paths.config_file("pmcd/pmcd.conf", "PCP_NOSUCH") is None
    (tmp_path / "stocks").touch()
    assert paths.config_file("pmcd/pmcd.conf", "PCP_PMCDCONF_PATH") == tmp_path / "stocks"
    (tmp_path / "stock/pmcd").mkdir(parents=True)
    (tmp_path / "stock/pmcd/pmcd.conf").touch()
    assert paths.config_file("pmcd/pmcd.conf", "PCP_PMCDCONF_PATH") == tmp_path / "stock/pmcd/pmcd.conf"


@pytest.mark.parametrize("uid", [0, USER])
def test_a_configuration_file_that_we_are_told_is_the_one(tmp_path, uid):
    (tmp_path / "pmcd").mkdir()
    (tmp_path / "pmcd/pmcd.conf").touch()
    told = {"PCP_SYSCONF_DIR": str(tmp_path), "PCP_PMCDCONF_PATH": "/told", "HOME": "/home/me"}
    assert Paths.find(told, uid=uid).config_file("pmcd/pmcd.conf", "PCP_PMCDCONF_PATH") == Path("/told")


def test_what_stocks_own_file_says_is_not_told_by_being_in_the_environment_too(tmp_path):
    (tmp_path / "etc/pypcp").mkdir(parents=True)
    (tmp_path / "etc/pypcp/tls.conf").touch()
    (tmp_path / "etc/pcp.conf").write_text("PCP_TLSCONF_PATH=/stocks/tls.conf\n")
    environ = {"PCP_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "etc"), "HOME": "/home/me"}
    paths = Paths.find(environ | {"PCP_TLSCONF_PATH": "/stocks/tls.conf"}, uid=USER)
    assert paths.config_file("tls.conf", "PCP_TLSCONF_PATH") == tmp_path / "etc/pypcp/tls.conf"


def user_paths(tmp_path: Path) -> Paths:
    environ = {"PCP_DIR": str(tmp_path), "HOME": str(tmp_path), "PCP_RUN_DIR": str(tmp_path / "run")}
    paths = Paths.find(environ, uid=USER)
    object.__setattr__(paths, "uid", os.geteuid())  # as root runs these tests too, and is no ordinary user
    return paths


def test_directories_of_an_ordinary_user_are_made_private(tmp_path):
    paths = user_paths(tmp_path)
    for directory in (paths.run_dir, paths.log_dir):
        assert paths.make(paths.make(directory)) == directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_run_directory_open_to_others_is_refused(tmp_path):
    paths = user_paths(tmp_path)
    paths.run_dir.mkdir()
    paths.run_dir.chmod(0o755)
    with pytest.raises(PermissionDenied, match=r"open to others \(mode 0755\): chmod it to 0700"):
        paths.make(paths.run_dir)


def test_a_state_directory_may_be_read_by_others_but_not_written(tmp_path):
    paths = user_paths(tmp_path)
    paths.state_dir.mkdir(parents=True)
    paths.state_dir.chmod(0o755)
    paths.make(paths.state_dir)
    paths.state_dir.chmod(0o775)
    with pytest.raises(PermissionDenied, match=r"mode 0775\): chmod it to 0755"):
        paths.make(paths.state_dir)


def test_a_directory_that_is_none_of_ours_is_taken_as_it_is(tmp_path):
    paths = user_paths(tmp_path)
    object.__setattr__(paths, "uid", os.geteuid() + 1)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert paths.make(shared) == shared
    assert paths.make(shared / "new" / "logs").is_dir()


def test_a_directory_of_somebody_else_is_refused(tmp_path):
    paths = user_paths(tmp_path)
    object.__setattr__(paths, "uid", os.geteuid() + 1)
    with pytest.raises(PermissionDenied, match="belongs to uid"):
        paths.make(paths.run_dir)


def test_a_link_in_place_of_the_run_directory_is_refused(tmp_path):
    paths = user_paths(tmp_path)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    paths.run_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionDenied, match="is a link"):
        paths.make(paths.run_dir)
