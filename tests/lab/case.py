"""Cases of the lab: functions named case_… in files *_lab.py; each makes its own world. Run by tests/run, or one file alone:
    python3 tests/lab/relay_lab.py [case …]"""
import inspect
import os
import sys
import time
import traceback

from world import Skip


def main(module):
    """Runs the cases of MODULE (those named on the command line, else all). Prints a line a case and, at the end, the count."""
    cases = [(name, function) for name, function in inspect.getmembers(module, inspect.isfunction) if name.startswith("case_")]
    cases.sort(key=lambda item: item[1].__code__.co_firstlineno)
    wanted = sys.argv[1:]
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, function in cases:
        if wanted and name not in wanted:
            continue
        begun, result, text = time.monotonic(), "ok", ""
        try:
            function()
        except Skip as reason:
            result, text = "skip", f": {reason}"
        except Exception as error:
            result, text = "FAIL", f": {type(error).__name__}: {str(error)[-4000:]}"
            if os.environ.get("POSTERN_TRACE"):
                traceback.print_exc()
        counts[result] += 1
        print(f"{result} {os.path.basename(module.__file__)[:-3]}.{name}{text} [{time.monotonic() - begun:.1f} s]", flush=True)
    skipped = f", {counts['skip']} skipped" if counts["skip"] else ""
    print(f"{counts['ok']} passed, {counts['FAIL']} failed{skipped}")
    return 1 if counts["FAIL"] else 0
