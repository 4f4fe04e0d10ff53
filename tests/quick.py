"""Settings for a Flink that lives for a minute on a small node, as those of tests do; what it does stays the same.

A start costs its two JVMs 46 s of CPU as they come, and 22 s with these: most of it was the second compiler, the
collector's threads and the verifier, which look at each of 40,000 classes.
"""

from __future__ import annotations

QUICK = {
    "env.java.opts.all": (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
    )
}
"""Keys of `spec.flink.configuration`."""
