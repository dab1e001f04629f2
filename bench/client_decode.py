"""CPU time of a client that turns a fetch of 10,000 values into {instance: value}: ours against stock's Python binding.

    python bench/client_decode.py [VALUES] [ROUNDS]

Both ask the same private stock pmcd for the same metric in the same run, a process each, and count their own CPU time
only. Prints one JSON object; ``ratio`` is stock's time divided by ours.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

OURS = """
import json, sys, time
from pypcp.pmapi.blocking import BlockingContext
host, rounds = sys.argv[1], int(sys.argv[2])
with BlockingContext(host) as context:
    pmid = context.lookup_name("sample.many.int")
    desc = context.lookup_desc(pmid)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        values = context.fetch([pmid]).value_sets[0].by_instance()
        times.append(time.process_time() - start)
print(json.dumps({"values": len(values), "sum": sum(values.values()), "times_s": times}))
"""

STOCK = """
import json, sys, time
from pcp import pmapi
import cpmapi as c_api
host, rounds = sys.argv[1], int(sys.argv[2])
context = pmapi.pmContext(c_api.PM_CONTEXT_HOST, host)
pmids = context.pmLookupName("sample.many.int")
desc = context.pmLookupDescs(pmids)[0]
times = []
for _ in range(rounds):
    start = time.process_time()
    result = context.pmFetch(pmids)
    values = {}
    for i in range(result.contents.get_numval(0)):
        atom = context.pmExtractValue(
            result.contents.get_valfmt(0), result.contents.get_vlist(0, i), desc.type, c_api.PM_TYPE_32)
        values[result.contents.get_inst(0, i)] = atom.l
    context.pmFreeResult(result)
    times.append(time.process_time() - start)
print(json.dumps({"values": len(values), "sum": sum(values.values()), "times_s": times}))
"""


def measure(python: str, code: str, host: str, rounds: int) -> dict[str, object]:
    run = subprocess.run([python, "-c", code, host, str(rounds)], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(run.stdout)
    return found


def main() -> None:
    from peers import StockPmcd, stock  # only with tests/ on the path

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with StockPmcd(("pmcd", "sample")) as pmcd:
        stock("pmstore", "-h", pmcd.tcp, "sample.many.count", count).check_returncode()
        ours = measure(sys.executable, OURS, pmcd.tcp, rounds)
        theirs = measure("/usr/bin/python3", STOCK, pmcd.tcp, rounds)
    assert (ours["values"], ours["sum"]) == (theirs["values"], theirs["sum"])
    ours_s, stock_s = (statistics.median(side["times_s"]) for side in (ours, theirs))  # type: ignore[arg-type]
    report = {"values": ours["values"], "ours_ms": ours_s * 1e3, "stock_ms": stock_s * 1e3, "ratio": stock_s / ours_s}
    print(json.dumps({name: round(number, 3) for name, number in report.items()}))  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
