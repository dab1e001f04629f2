"""A client on stock's libpcp that stays connected: ``names_client.py HOST``; one JSON list [call, argument] a line.

It answers with one line of JSON: what the call gives, or the number of its error. See: PMNS(3), pmFetch(3)
"""

import ctypes
import json
import sys

LIBPCP = ctypes.CDLL("libpcp.so.3")
LIBC = ctypes.CDLL(None)
VISIT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class ValueSet(ctypes.Structure):
    _fields_ = [("pmid", ctypes.c_uint), ("numval", ctypes.c_int)]


class Result(ctypes.Structure):
    _fields_ = [
        ("timestamp", ctypes.c_long * 2),
        ("numpmid", ctypes.c_int),
        ("first", ctypes.POINTER(ValueSet)),
    ]


def children(name):
    names, statuses = ctypes.POINTER(ctypes.c_char_p)(), ctypes.POINTER(ctypes.c_int)()
    count = LIBPCP.pmGetChildrenStatus(name.encode(), ctypes.byref(names), ctypes.byref(statuses))
    return count if count < 0 else sorted([names[n].decode(), statuses[n]] for n in range(count))


def traverse(name):
    found = []
    status = LIBPCP.pmTraversePMNS(name.encode(), VISIT(lambda each: found.append(each.decode())))
    return status if status < 0 else found


def lookup(names):
    pmids = (ctypes.c_uint * len(names))()
    count = LIBPCP.pmLookupName(len(names), (ctypes.c_char_p * len(names))(*[each.encode() for each in names]), pmids)
    return count if count < 0 else [count, *pmids]


def names(pmid):
    found = ctypes.POINTER(ctypes.c_char_p)()
    count = LIBPCP.pmNameAll(ctypes.c_uint(pmid), ctypes.byref(found))
    return count if count < 0 else sorted(found[n].decode() for n in range(count))


def fetch(pmid):
    """[the changes that were announced, the number of values or the error]"""
    result = ctypes.POINTER(Result)()
    status = LIBPCP.pmFetch(1, (ctypes.c_uint * 1)(pmid), ctypes.byref(result))
    return status if status < 0 else [status, result.contents.first.contents.numval]


def desc(pmid):
    return LIBPCP.pmLookupDesc(ctypes.c_uint(pmid), (ctypes.c_int * 16)())


def main():
    context = LIBPCP.pmNewContext(1, sys.argv[1].encode())
    if context < 0:
        sys.exit(f"pmNewContext: {context}")
    calls = {call.__name__: call for call in (children, traverse, lookup, names, fetch, desc)}
    for line in sys.stdin:
        call, argument = json.loads(line)
        print(json.dumps(calls[call](argument)), flush=True)


if __name__ == "__main__":
    main()
