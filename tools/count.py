"""Adds up test cases: count.py DIRECTORY [PHASE THAT FAILED…]

Reads what ctest and pytest left in DIRECTORY (*.ctest is ctest's LastTest.log, *.xml is JUnit),
prints what failed by name and, as the last line, "N passed, N failed". A failed phase that no
failed case explains counts as one failure. Exits 1 unless something passed and nothing failed."""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

CASES = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\w+)$", re.M)


def count_ctest(text):
    """One block for each program; cmocka prints its cases, and a program that died none."""
    passed, failed = 0, []
    for block in re.split(r"^\d+/\d+ Testing: ", text, flags=re.M)[1:]:
        program = block.split("\n", 1)[0].strip()
        cases = sum(int(n) for n in CASES.findall(block))
        names = sorted(set(FAILED.findall(block)))
        good = re.search(r"^Test Passed\.", block, re.M) is not None
        passed += cases if cases or not good else 1
        failed += [f"{program}: {name}" for name in names]
        if not good and not names:
            failed.append(f"{program}: did not end well")
    return passed, failed


def count_junit(path):
    passed, failed = 0, []
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed


def main(directory, phases):
    passed, failed = 0, []
    for path in sorted(pathlib.Path(directory).iterdir()):
        counted = count_junit(path) if path.suffix == ".xml" else count_ctest(path.read_text())
        passed += counted[0]
        failed += counted[1]
    if "nothing left behind" in phases:
        failed.append("nothing left behind")
    if phases and not failed:
        failed += phases
    for name in failed:
        print(f"  failed: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], [p for p in sys.argv[2:] if p]))
