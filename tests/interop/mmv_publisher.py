"""An application that publishes by stock's MMV library: ``mmv_publisher.py NAME``, until its standard input ends."""

import sys

import cpmapi
from pcp.mmv import MemoryMappedValues, mmv_metric
from pcp.pmapi import pmUnits

COUNT = pmUnits(0, 0, 1, 0, 0, cpmapi.PM_COUNT_ONE)

values = MemoryMappedValues(sys.argv[1], 0, int(sys.argv[2]))
values.add_metrics(
    [
        mmv_metric("products.count", 7, cpmapi.PM_TYPE_U32, cpmapi.PM_SEM_COUNTER, COUNT, 0, "products", "made so far"),
        mmv_metric("uptime", 2, cpmapi.PM_TYPE_U64, cpmapi.PM_SEM_INSTANT, COUNT, 0, "uptime", "since the start"),
    ]
)
values.start()
values.lookup_set("products.count", "", 42)
print("published", flush=True)
sys.stdin.read()
values.stop()
