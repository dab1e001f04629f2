"""Instance ids that stay: the operations of pmdaCache(3), their file and their hash."""

import subprocess
import sys
import time

import pytest

from pypcp.errors import BadArgument, GenericError, SignError, TooBig, UnknownInstance
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.instance_file import MAX_ID, Line, read_instances, write_instances
from pypcp.pmda.instance_hash import lookup2


@pytest.mark.parametrize(
    ("key", "number"),
    [
        (b"a", 703514648),
        (b"foo", 2143417350),
        (b"foo bar", 1276530174),
        (b"/dev/sda1", 2042946335),
        (b"abcdefghijkl", 186334885),
        (b"abcdefghijklm", 824356913),
        ("café".encode(), 495247051),
        (b"x y z", 950006629),
        (bytes([1, 2, 3, 4, 5, 6, 7, 255]), 1066238003),
        (bytes([1, 0, 0, 127]), 1077363171),
    ],
)
def test_the_hash_of_a_key_is_stocks(key, number):
    assert lookup2(key) & 0x7FFFFFFF == number


def test_ids_count_up_from_zero_and_stay():
    cache = InstanceCache()
    assert [cache.add(name) for name in ("a", "b", "a", "c")] == [0, 1, 0, 2]


def test_a_culled_name_gets_a_new_id():
    cache = InstanceCache()
    assert [cache.add(name) for name in "abc"] == [0, 1, 2]
    assert cache.discard("b") == 1
    assert cache.add("b") == 3


def test_with_reuse_the_lowest_free_id_is_given_out():
    cache = InstanceCache(reuse=True)
    for name in "abcd":
        cache.add(name)
    cache.discard("c")
    cache.discard("a")
    assert [cache.add(name) for name in "efg"] == [0, 2, 4]


def test_after_the_largest_id_the_lowest_free_one_follows_and_then_there_is_none():
    cache = InstanceCache(maximum=2)
    for name in "abc":
        cache.add(name)
    cache.discard("b")
    assert cache.add("d") == 1
    with pytest.raises(GenericError):
        cache.add("e")


def test_hidden_entries_keep_their_ids():
    cache = InstanceCache()
    cache.add("a")
    assert cache.hide("a") == 0
    assert not cache[0].active
    assert cache.active() == []
    assert cache.add("a") == 0


@pytest.mark.parametrize("operation", ["hide", "discard", "by_name"])
def test_what_is_unknown_cannot_be_changed(operation):
    with pytest.raises(UnknownInstance):
        getattr(InstanceCache(), operation)("nobody")


def test_the_first_word_tells_names_apart():
    cache = InstanceCache()
    cache.add("disk one")
    with pytest.raises(BadArgument):
        cache.add("disk two")
    with pytest.raises(BadArgument):
        cache.add("disk")


def test_with_strings_the_whole_name_does_and_it_may_be_empty():
    cache = InstanceCache(strings=True)
    assert [cache.add(name) for name in ("disk one", "disk two", "")] == [0, 1, 2]


@pytest.mark.parametrize("name", ["", "two\nlines", "with\0nul"])
def test_what_the_file_could_not_keep_is_no_name(name):
    with pytest.raises(BadArgument):
        InstanceCache().add(name)


def test_a_keys_id_is_its_hash():
    cache = InstanceCache()
    assert cache.add("k1", key=b"\x01\x02\xff") == 830150515
    assert cache.by_key(b"\x01\x02\xff").name == "k1"
    assert cache.add("k1", key=b"\x01\x02\xff") == 830150515


def test_a_key_with_another_name_and_a_name_with_another_key_are_refused():
    cache = InstanceCache()
    cache.add("k1", key=b"1")
    with pytest.raises(UnknownInstance):
        cache.add("k2", key=b"1")
    with pytest.raises(UnknownInstance):
        cache.add("k1", key=b"2")


def test_when_a_keys_number_is_taken_the_hash_is_hashed_on():
    cache = InstanceCache()
    assert cache.add("n92203", key=b"n92203") == 1946503514
    assert cache.add("n114919", key=b"n114919") == 783735169  # what libpcp_pmda gives for this collision


def test_all_can_be_made_active_and_inactive_at_once():
    cache = InstanceCache()
    for name in "abc":
        cache.add(name)
    assert (cache.set_all(False), cache.set_all(False), cache.set_all(True), cache.clear()) == (3, 0, 3, 3)
    assert len(cache) == 0


@pytest.mark.parametrize("strings", [False, True])
def test_replace_leaves_what_is_attached_to_an_entry(strings):
    cache = InstanceCache(strings=strings)
    cache.add("a", data=1)
    assert cache.replace(["a", "b"]) == (0, 1)
    assert [entry.data for entry in cache] == [1, None]


@pytest.mark.parametrize("strings", [False, True])
def test_what_replace_found_in_use_is_saved_as_such_at_the_end(tmp_path, strings):
    path = tmp_path / "100.1"
    write_instances(path, False, MAX_ID, [Line(0, 1000, "a", None)])
    cache = InstanceCache(path, strings=strings)
    cache.replace(["a"])
    assert cache.save(also_activated=True) == 1
    assert [line.stamp > 1000 for line in read_instances(path).lines] == [True]


def test_replace_refuses_another_name_with_a_known_first_word():
    cache = InstanceCache()
    cache.add("a one")
    with pytest.raises(BadArgument):
        cache.replace(["a two"])


def test_replace_makes_exactly_the_given_names_active():
    cache = InstanceCache()
    assert cache.replace(["a", "b"]) == (0, 1)
    assert cache.replace(["c", "b"]) == (2, 1)
    assert [entry.name for entry in cache.active()] == ["b", "c"]


def test_purging_forgets_what_was_saved_long_ago_and_is_not_there(tmp_path):
    old = int(time.time()) - 1000
    (tmp_path / "1.1").write_text(f"2 0 2147483647\n0 {old} gone\n1 {old} here\n2 {old + 900} late\n")
    cache = InstanceCache(tmp_path / "1.1")
    cache.add("here")
    cache.add("new")
    purged = []
    assert cache.purge(500, lambda entry: purged.append(entry.name)) == 1
    assert purged == ["gone"]
    assert [entry.name for entry in cache] == ["here", "late", "new"]


def test_the_largest_id_can_be_set_but_not_below_one_in_use():
    cache = InstanceCache()
    cache.replace("abc")
    with pytest.raises(TooBig):
        cache.resize(1)
    with pytest.raises(SignError):
        cache.resize(-1)
    cache.resize(2)
    cache.discard("a")
    assert cache.add("d") == 0


def test_the_file_is_stocks_and_ids_outlive_the_process(tmp_path):
    path = tmp_path / "200.7"
    cache = InstanceCache(path)
    cache.add("y y")
    cache.add("k", key=b"\x0a\xff")
    before = int(time.time())
    assert cache.save() == 2
    header, *lines = path.read_text().splitlines()
    assert header == "2 1 2147483647"
    number, stamp, rest = lines[0].split(" ", 2)
    assert (number, rest) == ("0", "y y")
    assert before <= int(stamp) <= time.time()
    assert lines[1].endswith("[0aff] k")
    again = InstanceCache(path)
    assert [entry.active for entry in again] == [False, False]
    assert (again.by_name("y y").id, again.by_key(b"\x0a\xff").name) == (0, "k")


def test_a_clean_cache_is_not_written(tmp_path):
    path = tmp_path / "200.7"
    cache = InstanceCache(path)
    cache.add("a")
    assert [cache.save(), cache.save()] == [1, 0]
    cache.hide("a")
    cache.add("a")
    assert [cache.save(), cache.save(also_activated=True), cache.save(always=True)] == [0, 1, 1]


def test_new_names_are_appended_and_the_rest_of_the_file_stays(tmp_path):
    path = tmp_path / "200.7"
    cache = InstanceCache(path)
    cache.add("a")
    cache.save()
    inode = path.stat().st_ino
    cache.add("b")
    assert cache.save() == 1
    assert path.stat().st_ino == inode
    assert [line.name for line in read_instances(path).lines] == ["a", "b"]


def test_a_line_that_was_never_finished_costs_that_line(tmp_path):
    path = tmp_path / "200.7"
    path.write_text("2 0 2147483647\n0 1 a\n1 1 b\n2 1 c")
    cache = InstanceCache(path)
    assert [entry.name for entry in cache] == ["a", "b"]
    cache.add("d")
    cache.save()
    assert [line.name for line in read_instances(path).lines] == ["a", "b", "d"]


@pytest.mark.parametrize("text", ["", "3 0 1\n", "2 0 2147483647\nnonsense\n", "2 0 2147483647\n99999999999 1 x\n"])
def test_a_file_that_is_none_is_set_aside_and_numbers_start_anew(tmp_path, caplog, text):
    path = tmp_path / "200.7"
    path.write_text(text)
    cache = InstanceCache(path)
    assert cache.add("a") == 0
    assert cache.save() == 1
    assert (tmp_path / "200.7.bad").read_text() == text
    assert "200.7" in caplog.text


def test_a_directory_that_cannot_be_written_costs_the_memory_only(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = InstanceCache(tmp_path / "file" / "200.7")
    assert cache.add("a") == 0
    cache.save()
    assert "will not outlive" in caplog.text


def test_an_old_file_without_the_largest_id_is_read(tmp_path):
    (tmp_path / "1.1").write_text("1 0\n5 100 old\n")
    cache = InstanceCache(tmp_path / "1.1")
    assert (cache.by_name("old").id, cache.add("new")) == (5, 6)


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_file_as_it_was(tmp_path):
    """A disk takes what there is room for; here a limit on the size of files does."""
    path = tmp_path / "200.7"
    write_instances(path, False, MAX_ID, [Line(0, 1, "a")])
    before = path.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path; from pypcp.pmda.instance_file import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 5}, {len(before) + 5}))\n"
        "append_instances(Path(sys.argv[1]), [Line(1, 1, 'b' * 100)])"
    )
    ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "5 of 105 bytes could be written" in ended.stderr
    assert path.read_bytes() == before
