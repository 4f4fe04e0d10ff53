"""`make test` and `make test-all`: the phases one after the other, a line for each with its seconds, the slowest tests.

A phase that fails does not keep the others from running; one that the others need (the cluster) does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".venv" / "reports"
SLOWEST = 10


@dataclass(frozen=True)
class Phase:
    """One step of `make test`."""

    name: str
    command: tuple[str, ...]
    needed: bool = False
    """Whether nothing of what follows can be without it."""


@dataclass(frozen=True)
class Took:
    """Seconds of one test, with what it set up and took away."""

    seconds: float
    name: str


def pytest_phase(name: str, *arguments: str) -> Phase:
    """A phase that runs tests, and leaves a report of them."""
    report = REPORTS / f"{name}.xml"
    return Phase(name, (sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments))


def phases(*, everything: bool) -> list[Phase]:
    """What `make test` does; `everything`: what takes long and has a quicker successor, too."""
    two = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")

    def only(which: str) -> tuple[str, str]:
        return ("-m", which if everything else f"({which}) and not exhaustive")

    return [
        Phase("lint", ("make", "--no-print-directory", "lint")),
        pytest_phase("unit", "-q", "-n", "auto", "--dist", "worksteal", "tests/unit"),
        Phase("cluster", ("make", "--no-print-directory", "cluster"), needed=True),
        Phase("operator", (sys.executable, "tests/prepare.py"), needed=True),
        pytest_phase("crash-sample", *only("not rest"), "tests/crash"),
        # Two that need no operator, the longer one first: an operator of its own that is killed, and the servers alone.
        pytest_phase("integration", *only("rest or not e2e"), *two, "tests/e2e/test_crashes.py", "tests/integration"),
        pytest_phase("end-to-end", *only("not alone and not rest"), *two, "tests/e2e"),
        pytest_phase("alone", *only("alone"), "tests/e2e"),
    ]


def run(wanted: Sequence[Phase]) -> int:
    """Run them; 0 when all is well."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    failed: list[str] = []
    lines: list[str] = []
    began = time.monotonic()
    for phase in wanted:
        print(f"== {phase.name}", flush=True)
        at = time.monotonic()
        status = subprocess.run(phase.command, cwd=ROOT, check=False).returncode
        lines.append(f"{phase.name:<24}{time.monotonic() - at:6.0f} s{'' if status == 0 else '  FAILED'}")
        print(f"== {lines[-1]}", flush=True)
        if status != 0:
            failed.append(phase.name)
            if phase.needed:
                break
    print("\nthe slowest tests, with what they set up and take away:")
    for each in slowest(REPORTS, SLOWEST):
        print(f"{each.seconds:7.0f} s  {each.name}")
    print("\nthe phases:", *lines, f"{'all of them':<24}{time.monotonic() - began:6.0f} s", sep="\n", flush=True)
    return 1 if failed else 0


def slowest(reports: Path, count: int) -> list[Took]:
    """The tests that took longest, of all reports in a folder, the longest first."""
    found = [
        Took(float(case.get("time", 0)), f"{case.get('classname', '')}::{case.get('name', '')}")
        for report in reports.glob("*.xml")
        for case in ET.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest's own, just written
    ]
    return sorted(found, key=lambda each: -each.seconds)[:count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="what takes long, too")
    parser.add_argument("--only", default="", help="these phases, with commas between them")
    options = parser.parse_args()
    known = phases(everything=options.all)
    names = options.only.split(",") if options.only else [each.name for each in known]
    if unknown := set(names).difference(each.name for each in known):
        parser.error(f"there is no phase {', '.join(sorted(unknown))}; there are {', '.join(x.name for x in known)}")
    return run([each for each in known if each.name in names])


if __name__ == "__main__":
    sys.exit(main())
