"""Settings for a Flink that lives for a minute on a small node, as those of tests do; what it does stays the same.

A start costs its JVMs 46 s of CPU as they come, and 18 to 20 s with these: most of it was the second compiler, the
threads of the collector, the verifier, which looks at each of 40,000 classes, and to read what lies in the image's
archive now.
"""

from __future__ import annotations

import os

CLASS_LIST, CLASS_LOG = "/tmp/classes.txt", "/tmp/classes.log"  # noqa: S108 - in a pod, whose own it is
_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
    # Otherwise the collector looks through everything whenever that many classes more are there.
    "-XX:MetaspaceSize=200m",
)
_RECORDED = f"-XX:DumpLoadedClassList={CLASS_LIST} -Xlog:class+load=debug:file={CLASS_LOG}:none:filecount=0"
_SHARED = _RECORDED if "PENSTOCK_RECORD_CLASSES" in os.environ else ""
"""What `tests.classes` makes the image's archive of (`cluster/images/sharing.py`)."""

QUICK = {"env.java.opts.all": " ".join((*_FLAGS, _SHARED or "-XX:SharedArchiveFile=/opt/flink/classes.jsa"))}
"""Keys of `spec.flink.configuration`."""
KAFKA = {"name": "KAFKA_JAVA", "value": " ".join(_FLAGS)}
"""For the container of a broker: it starts once for each lab, and that costs its two JVMs 20 s as they come."""
SCRIPTS_TOO = {
    "env": [
        {"name": "JDK_JAVA_OPTIONS", "value": " ".join((*_FLAGS[:2], "-XX:SharedArchiveFile=/opt/flink/scripts.jsa"))}
    ]
}
"""For `spec.podTemplate`: Flink's shell scripts start Java twice before they start Flink."""
