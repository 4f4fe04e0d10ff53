"""Runs in a JobManager pod before the guard (init container): puts the values of Secrets into the script.

The script with its placeholders is a file, each value an environment variable that Kubernetes fills: when a Secret or
a key is missing this does not even start, and Kubernetes says why. What is written lies in memory and goes with the
pod. No value is ever printed. Only the standard library is used, as in the guard.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from penstock.substitution import SecretKey, substitute, variables

_PRIVATE = 0o600


def render(template: str, environment: Mapping[str, str]) -> str:
    """The script with the values in it. Raises KeyError, which names the variable, when one is not there.

    Placeholders stand within SQL's string literals, so a single quote in a value is doubled.
    """
    names = variables(template)

    def value(secret: SecretKey) -> str:
        return environment[names[secret]].replace("'", "''")

    return substitute(template, value)


def main(arguments: list[str] | None = None) -> int:
    """Write the script; 0 when it is there."""
    parser = argparse.ArgumentParser(prog="python3 -m penstock.render", description=__doc__)
    parser.add_argument("--template", required=True, type=Path, help="the script with its placeholders")
    parser.add_argument("--script", required=True, type=Path, help="where the script is written to")
    given = parser.parse_args(arguments)
    # Bytes, so that neither ends of lines nor a value that is no text are changed on the way.
    template = given.template.read_bytes().decode("utf-8", "surrogateescape")
    try:
        script = render(template, os.environ)
    except KeyError as missing:
        sys.stdout.write(f"the environment variable {missing} is not set; this pod was not made by this version\n")
        return 1
    # Renamed into its place, so that a second try after a kill finds nothing half done.
    fresh = given.script.with_suffix(".new")
    fresh.touch(_PRIVATE)
    fresh.write_bytes(script.encode("utf-8", "surrogateescape"))
    fresh.replace(given.script)
    return 0


if __name__ == "__main__":
    sys.exit(main())
