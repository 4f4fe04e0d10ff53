"""`python3 -m demo.read`: the committed records of a topic, or its end offsets, as JSON lines for another program."""

from __future__ import annotations

import argparse
import json
import sys

from demo import topic


def main() -> int:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(prog="python3 -m demo.read", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--ends", action="store_true", help="the end offset of each partition instead")
    options = parser.parse_args()
    if options.ends:
        print(json.dumps(topic.end_offsets(options.bootstrap, options.topic)))
        return 0
    for record in topic.read_committed(options.bootstrap, options.topic):
        print(json.dumps([record.partition, record.offset, record.value.decode()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
