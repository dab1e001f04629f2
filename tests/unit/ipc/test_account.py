"""Acting as another account, and becoming it."""

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from peers import require
from pypcp.errors import BadArgument
from pypcp.ipc.account import Account

BECOMES = """
import os, sys, threading
from pathlib import Path
from pypcp.ipc.account import Account
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
Account.named("nobody").become()
print({path.read_text().split("Uid:")[1].splitlines()[0] for path in Path("/proc/self/task").glob("*/status")})
try:
    os.seteuid(0)
except PermissionError:
    print("for good")
end.set()
"""


def test_an_account_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(BadArgument, match="there is no account 'nobody-at-all'"):
        Account.named("nobody-at-all")


def test_root_acts_as_another_and_is_itself_again() -> None:
    require(os.geteuid() == 0, "root, to act as another account")
    nobody, groups = pwd.getpwnam("nobody"), os.getgroups()
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        Path(name).chmod(0o777)
        with Account.named("nobody").acting():
            made.write_text("")
            with pytest.raises(PermissionError):
                open("/etc/shadow", "rb").close()
        assert made.stat().st_uid == nobody.pw_uid
    assert (os.geteuid(), os.getgroups()) == (0, groups)


def test_a_process_becomes_another_account_with_all_its_threads_and_for_good() -> None:
    require(os.geteuid() == 0, "root, to become another account")
    uid = pwd.getpwnam("nobody").pw_uid
    done = subprocess.run([sys.executable, "-c", BECOMES], capture_output=True, text=True)
    assert done.stdout.splitlines() == [str({"\t" + "\t".join([str(uid)] * 4)}), "for good"], done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root can be anybody")
def test_who_is_not_root_becomes_nobody_else() -> None:
    with pytest.raises(PermissionError):
        Account.named("root").become()
