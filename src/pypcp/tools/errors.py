"""``pypcp errors``: what an error code means; stock's pmerr(1), and the way back from a constant."""

from __future__ import annotations

import argparse
import sys

from pypcp.errors import error_string, listed, lookup
from pypcp.tools.client_options import complain, print_json


def main(argv: list[str]) -> int:
    """Run the tool; 1 if one of the codes means nothing."""
    parser = argparse.ArgumentParser("pypcp errors", description="What error codes mean.")
    parser.add_argument("-l", "--list", action="store_true", help="list all of PCP's own")
    parser.add_argument("--json", action="store_true", help="print JSON")
    # Codes are negative: what looks like an option may be one.
    known, codes = parser.parse_known_args(argv)
    if known.list:
        entries = [(error.code, error.constant, error.sentence) for error in listed()]
        if known.json:
            print_json([{"code": code, "constant": constant, "message": text} for code, constant, text in entries])
        else:
            print(f"{'Code':>6}  {'Symbolic Name':<22} Message")
            for code, constant, text in entries:
                print(f"{code:>6}  {constant:<22} {text}")
        return 0
    if not codes:
        parser.print_usage(sys.stderr)
        return 1
    meaningless = [text for text in codes if not _explain(text, as_json=known.json)]
    return int(bool(meaningless))


def _explain(text: str, *, as_json: bool) -> bool:
    code = _code(text)
    if code is None:
        complain(f'Cannot decode "{text}" - neither decimal nor hexadecimal')
        return False
    if code > 0 and not as_json:
        print(f"Code is positive, assume you mean {-code}")
    code = -abs(code)
    if as_json:
        print_json({"code": code, "message": error_string(code)})
    else:
        print(f"Code: {code} 0x{code & 0xFFFFFFFF:x} Text: {error_string(code)}")
    return True


def _code(text: str) -> int | None:
    if text.startswith("PM_ERR_"):
        try:
            return lookup(text).code
        except KeyError:
            return None
    try:
        word = int(text, 0)
    except ValueError:
        return None
    return word - (1 << 32) if text.lower().startswith("0x") and word >= 1 << 31 else word
