"""The same agent on stock's Python framework; BENCH_STYLE says how instances are kept: list, dict or lookup."""

import ctypes
import os

import cpmapi as c_api
from pcp.pmapi import pmUnits
from pcp.pmda import PMDA, pmdaIndom, pmdaInstid, pmdaMetric

SIZE = int(os.environ.get("BENCH_SIZE", "10000"))
NAMES = int(os.environ.get("BENCH_NAMES", "0"))
STYLE = os.environ.get("BENCH_STYLE", "list")
VALUES = [number * 1.5 for number in range(SIZE)]
NULL = c_api.PM_INDOM_NULL


class Bench(PMDA):
    def __init__(self):
        PMDA.__init__(self, "bench", 400)
        self.kept = {f"inst{number:05}": ctypes.c_double(number * 1.5) for number in range(SIZE)}
        indom = self.indom(0)
        listed = [pmdaInstid(number, f"inst{number:05}") for number in range(SIZE)]
        instances = listed if STYLE == "list" else self.kept
        self.things = self.add_indom(pmdaIndom(indom, instances))
        self.metric("one", 0, c_api.PM_TYPE_U32, NULL)
        self.metric("column", 1, c_api.PM_TYPE_DOUBLE, indom)
        self.metric("grow", 2, c_api.PM_TYPE_U32, NULL)
        self.grown = 0
        for number in range(NAMES):
            self.leaf(number)
        self.set_fetch_callback(self.fetch)
        self.set_store_callback(self.store)

    def metric(self, name, item, type_, indom, cluster=0):
        pmid = self.pmid(cluster, item)
        self.add_metric(
            f"bench.{name}", pmdaMetric(pmid, type_, indom, c_api.PM_SEM_INSTANT, pmUnits()), "text", "text"
        )

    def leaf(self, number):
        self.metric(f"tree.m{number}", number % 1024, c_api.PM_TYPE_U32, NULL, 10 + number // 1024)

    def fetch(self, cluster, item, inst):
        if item == 1 and cluster == 0:
            if STYLE == "lookup":
                found = self.inst_lookup(self.indom(0), inst)
                return [ctypes.cast(found, ctypes.POINTER(ctypes.c_double)).contents.value, 1]
            return [VALUES[inst], 1]
        return [42, 1]

    def store(self, cluster, item, inst, value):
        self.leaf(NAMES + self.grown)
        self.grown += 1
        return 0


Bench().run()
