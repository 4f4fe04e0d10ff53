"""What is made of Java's own list of classes and of its log, for the image's archive."""

from __future__ import annotations

from cluster.images.sharing import PLANNER
from tests.classes import lines

_OWN = "loader: [loader data: 0x1 of 'bootstrap']"
_APP = "loader: [loader data: 0x2 for instance a 'jdk/internal/loader/ClassLoaders$AppClassLoader'{0x3}] bytes: 5"
_PLUGIN = "/opt/flink/plugins/s3-fs-presto/flink-s3-fs-presto-2.3.0.jar"

LOG = f"""\
java.lang.Object source: shared objects file
 klass: 0x10 super: 0x0 interfaces: {_OWN}
java.lang.Runnable source: jrt:/java.base
 klass: 0x11 super: 0x10 {_OWN}
org.apache.flink.Part source: file:/opt/flink/lib/flink-dist-2.3.0.jar
 klass: 0x12 super: 0x10 interfaces: 0x11 {_APP}
org.apache.flink.Part$$Lambda$1/0x99 source: org.apache.flink.Part
 klass: 0x13 super: 0x10 interfaces: 0x11 {_APP}
org.planner.Made source: __JVM_DefineClass__
 klass: 0x14 super: 0x10 {_APP}
org.planner.Rule source: file:/tmp/flink-table-planner_6c84b7f7-2d86-4de8-a018-990846c24028.jar
 klass: 0x15 super: 0x10 interfaces: 0x12 0x11 {_APP}
org.planner.OfMade source: file:/tmp/flink-table-planner_6c84b7f7-2d86-4de8-a018-990846c24028.jar
 klass: 0x16 super: 0x14 {_APP}
com.aws.Client source: file:{_PLUGIN}
 klass: 0x17 super: 0x10 {_APP}
org.apache.flink.Part source: file:{_PLUGIN}
 klass: 0x18 super: 0x10 {_APP}
com.aws.OfPart source: file:{_PLUGIN}
 klass: 0x19 super: 0x18 {_APP}
javax.xml.bind.Messages source: file:{_PLUGIN}
 klass: 0x1a super: 0x10 {_APP}
com.aws.Cut source: file:{_PLUGIN}
 klass: 0x20 su"""

LIST = {
    "# NOTE: made by Java",
    "java/lang/Object id: 0",
    "org/apache/flink/Other id: 7",
    "@lambda-proxy org/apache/flink/Part run ()V",
    "@lambda-form-invoker of a version",
}


def test_classes_of_other_loaders_are_told_with_their_jar_and_what_they_inherit_from() -> None:
    found = lines([LIST], [LOG, LOG])
    assert found[:5] == [
        "java/lang/Object id: 1",
        "java/lang/Runnable id: 2",
        "org/apache/flink/Part id: 3",
        f"com/aws/Client id: 4 super: 1 source: {_PLUGIN}",
        f"org/planner/Rule id: 5 super: 1 interfaces: 3 2 source: {PLANNER}",
    ]
    # Not told: what was made while it ran, a second one of a name, what inherits from either, what only Java has, and
    # what was cut off.
    assert found[5:] == ["@lambda-proxy org/apache/flink/Part run ()V", "org/apache/flink/Other"]
