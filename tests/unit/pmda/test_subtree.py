"""Metrics that each member of a subtree has: stored into, labelled, with instances of their own."""

from dataclasses import dataclass, field

import pytest

from pypcp.errors import BadStore, PermissionDenied, PmnsError, TooBig, UnknownInDom
from pypcp.model.labels import LabelType
from pypcp.pmda import Agent, Client
from pypcp.pmda.review import review
from pypcp.pmda.testing import AgentTester


@dataclass
class Pool:
    limit: int = 1
    vendor: str = "acme"
    disks: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def agent() -> Agent:
    return Agent("acme", 100)


@pytest.fixture
def pools(agent):
    return agent.subtree("acme.pool", clusters=range(10, 12))


def test_a_value_is_stored_into_the_data_of_its_member(agent, pools):
    pools.add("early", Pool())

    @pools.metric()
    def limit(pool: Pool) -> int:
        return pool.limit

    @limit.on_store
    def set_limit(value: int, pool: Pool, client: Client) -> None:
        if value < 1:
            raise ValueError("too low")
        pool.limit = value

    pools.add("late", Pool())
    tester = AgentTester(agent)
    tester.store("acme.pool.early.limit", 5)
    tester.store("acme.pool.late.limit", 7)
    assert [tester.fetch(f"acme.pool.{name}.limit") for name in ("early", "late")] == [5, 7]
    with pytest.raises(BadStore):
        tester.store("acme.pool.late.limit", 0)
    pools.add("late", Pool(limit=9))
    tester.store("acme.pool.late.limit", 8)
    assert pools["late"].limit == 8


def test_without_a_function_that_stores_a_member_refuses(agent, pools):
    pools.metric("limit", type_=1)(lambda pool: pool.limit)
    pools.add("a", Pool())
    with pytest.raises(PermissionDenied):
        AgentTester(agent).store("acme.pool.a.limit", 1)


def test_a_function_that_stores_is_given_one_thing_of_the_member(agent, pools):
    limit = pools.metric("limit", type_=1)(lambda pool: pool.limit)
    pools.add("a", Pool())
    with pytest.raises(TypeError, match="pool, other"):
        limit.on_store(lambda value, pool, other: None)


def test_labels_are_those_of_a_member_as_it_is_now(agent, pools):
    pools.metric("limit", type_=1, labels=lambda pool: {"vendor": pool.vendor}, notes={"unit": "orders"})(
        lambda pool: pool.limit
    )
    pools.replace({"a": Pool(), "b": Pool(vendor="bolt")})
    tester = AgentTester(agent)

    def told(member: str) -> bytes:
        return tester.labels(tester.pmid(f"acme.pool.{member}.limit"), LabelType.ITEM)[0].json

    assert told("a") == b'{"vendor":"acme","unit":"orders"}'
    assert told("b") == b'{"vendor":"bolt","unit":"orders"}'
    pools.add("b", Pool(vendor="crane"))
    assert told("b") == b'{"vendor":"crane","unit":"orders"}'


@pytest.fixture
def used(pools):
    disks = pools.indom(lambda pool: pool.disks, serials=range(5, 8), help_="Disks of the pool")

    @pools.metric(indom=disks)
    def used(pool: Pool) -> dict[str, int]:
        return pool.disks

    return used


def test_each_member_has_an_instance_domain_of_its_own(agent, pools, used):
    stored = []
    used.on_store(lambda value, instance, pool: stored.append((value, instance, pool.vendor)))
    pools.replace({"a": Pool(disks={"sda": 1, "sdb": 2}), "b": Pool(vendor="bolt", disks={"sdb": 3})})
    tester = AgentTester(agent)
    assert tester.fetch("acme.pool.a.used") == {"sda": 1, "sdb": 2}
    assert tester.fetch("acme.pool.b.used") == {"sdb": 3}
    assert tester.instances("acme.pool.b.used") == {1: "sdb"}
    assert {tester.desc(f"acme.pool.{each}.used").indom & 0x3FFFFF for each in "ab"} == {5, 6}
    tester.store("acme.pool.b.used", 4, "sdb")
    assert stored == [(4, "sdb", "bolt")]
    pools.add("b", Pool(disks={"sdc": 5, "sda": 6}))
    assert tester.fetch("acme.pool.b.used") == {"sdc": 5, "sda": 6}
    assert tester.instances("acme.pool.b.used") == {2: "sdc", 0: "sda"}


def test_the_instance_domain_goes_with_its_member(agent, pools, used):
    pools.add("a", Pool(disks={"sda": 1}))
    tester = AgentTester(agent)
    indom = tester.desc("acme.pool.a.used").indom
    assert agent.instances(indom) == ((0,), ("sda",))
    pools.remove("a")
    with pytest.raises(UnknownInDom):
        agent.instances(indom)


def test_members_and_their_instances_keep_their_numbers_in_the_next_process(tmp_path):
    numbers = {}
    for members in ("a b", "c b"):
        agent = Agent("acme", 100, state=tmp_path)
        pools = agent.subtree("acme.pool", clusters=range(10, 11))
        disks = pools.indom(lambda pool: pool.disks, serials=range(5, 8))
        pools.metric("used", indom=disks, type_=1)(lambda pool: pool.disks)
        for name in members.split():
            pools.add(name, Pool(disks={f"{name}1": 1}))
        tester = AgentTester(agent)
        numbers[members] = tester.desc("acme.pool.b.used").indom, tester.instances("acme.pool.b.used")
    assert numbers["a b"] == numbers["c b"]


def test_more_members_than_serials_is_one_clear_error_and_leaves_nothing(agent, pools, used):
    pools.replace({name: Pool() for name in "abc"})
    with pytest.raises(TooBig, match="3 instance domains"):
        pools.add("d", Pool())
    assert list(pools) == ["a", "b", "c"]
    pools.remove("a")
    pools.add("d", Pool(disks={"sdx": 1}))
    assert AgentTester(agent).fetch("acme.pool.d.used") == {"sdx": 1}


def test_instances_follow_a_source_at_every_question(agent):
    there = {"a": Pool(disks={"sda": 1})}

    @agent.source(cluster=9)
    def listing() -> dict[str, Pool]:
        return dict(there)

    pools = agent.subtree("acme.pool", clusters=range(10, 11), source=listing)
    pools.metric("used", indom=pools.indom(lambda pool: pool.disks, serials=range(1)), type_=1)(lambda pool: pool.disks)
    tester = AgentTester(agent)
    assert tester.fetch("acme.pool.a.used") == {"sda": 1}
    there["a"] = Pool(disks={"sdb": 2})
    assert tester.instances("acme.pool.a.used") == {1: "sdb"}
    assert tester.fetch("acme.pool.a.used") == {"sdb": 2}


# What is wrong is said.


@pytest.mark.parametrize("member", ["a-b", "a..b", "1st", "a b", "a."])
def test_a_member_that_can_be_no_part_of_a_name_is_refused(agent, pools, member):
    pools.metric("limit", type_=1)(lambda pool: pool.limit)
    with pytest.raises(PmnsError):
        pools.add(member, Pool())
    assert list(pools) == []


@pytest.mark.parametrize("every", [None, 60])
def test_a_source_whose_names_clash_is_in_the_log_once_and_a_mistake(agent, caplog, every):
    @agent.source(cluster=9, every=every)
    def listing() -> dict[str, int]:
        return {"a": 1}

    tree = agent.subtree("acme.live", clusters=range(10, 11), source=listing)
    tree.metric("size", type_=1)(lambda data: data)
    tree.metric("size.free", type_=1)(lambda data: data)
    with AgentTester(agent) as tester:
        for _ in range(3):
            assert tester.names("acme.live") == []
    assert caplog.text.count("cannot insert acme.live.a.size.free") == 1
    assert "mistake  cluster 100.9: what it reads cannot be used" in "\n".join(map(str, review(agent)))


@pytest.mark.parametrize(
    ("clusters", "words"), [(range(11, 14), "acme.pool"), (range(4090, 4097), "4095"), (range(0), "some of 0")]
)
def test_clusters_that_a_subtree_cannot_have_are_refused_at_once(agent, pools, clusters, words):
    with pytest.raises(ValueError, match=words):
        agent.subtree("acme.other", clusters=clusters)
    agent.subtree("acme.next", clusters=range(12, 14))
