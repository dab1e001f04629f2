"""An application that publishes values with stock's library: publish.py NAME CLUSTER FLAGS old|new|labels.

Writes the file and ends; with a further argument it waits for the end of its standard input first.
"""

import sys
from ctypes import CDLL, c_double, c_int, c_uint, c_void_p, cast, create_string_buffer

library = CDLL("libpcp_mmv.so.1")
kept = []
COUNTER, INSTANT, DISCRETE = 1, 3, 4
U32, U64, DOUBLE, STRING, ELAPSED = 1, 3, 5, 6, 9
NO_INDOM = 0xFFFFFFFF
COUNT, SECONDS = 0x00100000, 0x01003000
METRICS = [
    ("products.count", 7, U64, COUNTER, COUNT, 61),
    ("products.time", 8, U32, COUNTER, SECONDS, 61),
    ("uptime", 2, DOUBLE, INSTANT, SECONDS, NO_INDOM),
    ("name", 3, STRING, DISCRETE, 0, NO_INDOM),
    ("elapsed", 4, ELAPSED, COUNTER, 0, NO_INDOM),
    ("i32", 10, 0, INSTANT, 0, NO_INDOM),
    ("i64", 11, 2, INSTANT, 0, NO_INDOM),
    ("float", 12, 4, INSTANT, 0, NO_INDOM),
]


def text(value):
    kept.append(create_string_buffer(value.encode()))
    return cast(kept[-1], c_void_p)


def function(name, *arguments, gives=c_int):
    found = getattr(library, name)
    found.argtypes, found.restype = arguments, gives
    return found


def registry(name, cluster, flags, style):
    made = function("mmv_stats_registry", c_void_p, c_uint, c_int, gives=c_void_p)(text(name), cluster, flags)
    function("mmv_stats_add_indom", c_void_p, c_uint, c_void_p, c_void_p)(
        made, 61, text("Products"), text("All of them")
    )
    long = " of the new format, whose names may well have more than sixty-four characters" if style != "old" else ""
    add_instance = function("mmv_stats_add_instance", c_void_p, c_uint, c_int, c_void_p)
    for number, instance in enumerate(("Anvils", "Rockets" + long, "Bands")):
        add_instance(made, 61, number, text(instance))
    add = function("mmv_stats_add_metric", c_void_p, c_void_p, c_uint, *[c_int] * 2, *[c_uint] * 2, *[c_void_p] * 2)
    for metric, item, type_, sem, units, indom in METRICS:
        add(made, text(metric), item, type_, sem, units, indom, text(f"Short {metric}"), text(f"Long {metric}"))
    if style == "labels":
        number, json_map = 2, 6
        function("mmv_stats_add_registry_label", c_void_p, *[c_void_p] * 2, c_int, c_int)(
            made, text("shop"), text("5"), number, 0
        )
        labels = [c_void_p, c_uint, c_void_p, c_void_p, c_int, c_int]
        function("mmv_stats_add_indom_label", *labels)(made, 61, text("made"), text("6"), number, 0)
        function("mmv_stats_add_metric_label", *labels)(made, 7, text("note"), text("7"), number, 128)
        label_instance = function("mmv_stats_add_instance_label", c_void_p, c_uint, c_int, *labels[2:])
        label_instance(made, 61, 1, text("weight"), text("8"), number, 0)
        for member in ('{"height":1}', '{"width":2}'):
            label_instance(made, 61, 1, text("size"), text(member), json_map, 0)
    return function("mmv_stats_start", c_void_p, gives=c_void_p)(made)


def main(name, cluster, flags, style, *wait):
    handle = registry(name, int(cluster), int(flags), style)
    look_up = function("mmv_lookup_value_desc", c_void_p, c_void_p, c_void_p, gives=c_void_p)
    set_value = function("mmv_set_value", c_void_p, c_void_p, c_double, gives=None)
    for metric, instance, value in (
        ("products.count", "Anvils", 41.0),
        ("products.time", "Bands", 3.0),
        ("uptime", None, 2.5),
        ("i32", None, -32.0),
        ("i64", None, -1.0),
        ("float", None, 0.5),
    ):
        set_value(handle, look_up(handle, text(metric), text(instance) if instance else None), value)
    set_string = function("mmv_set_string", c_void_p, c_void_p, c_void_p, c_int, gives=None)
    set_string(handle, look_up(handle, text("name"), None), text("hullo"), 5)
    if wait:
        print("published", flush=True)
        sys.stdin.read()


main(*sys.argv[1:])
