#!/usr/bin/env bash
# Runs Kafka as one KRaft node: broker and controller in one process, for demo and tests.
#
# Environment:
#   KAFKA_ADVERTISED   host:port by which clients come back (default: this pod's address, port 9092)
#   KAFKA_HEAP         the JVM's heap (default 512m)
#   KAFKA_JAVA         more options of Java, separated by spaces
#   KAFKA_PROPERTIES   more broker settings, `key=value` lines; the last of a key wins
# Data lies in /var/lib/kafka (mount a volume there); it is formatted when it is empty.
set -euo pipefail

data=/var/lib/kafka
config=$data/server.properties
port=9092
advertised=${KAFKA_ADVERTISED:-$(hostname -i | cut -d' ' -f1):$port}

cat >"$config" <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
controller.listener.names=CONTROLLER
# The broker asks itself, too (each write of a transaction is verified with its coordinator), and by a way of its own:
# the advertised one may lead here from the clients' side only, as a forwarded port does.
listeners=PLAINTEXT://:$port,BROKER://localhost:9094,CONTROLLER://localhost:9093
inter.broker.listener.name=BROKER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
advertised.listeners=PLAINTEXT://$advertised,BROKER://localhost:9094
log.dirs=$data/data
num.partitions=4
auto.create.topics.enable=true
group.initial.rebalance.delay.ms=0
# There is one node: nothing can have three replicas. Few partitions, for a quick start.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
${KAFKA_PROPERTIES:-}
SETTINGS

read -ra more <<<"${KAFKA_JAVA:--XX:+UseG1GC}"
java=(java "-Xmx${KAFKA_HEAP:-512m}" -Xms128m "${more[@]}" -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true
  "-Djava.io.tmpdir=$data" -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml -cp '/opt/kafka/libs/*')

if [[ ! -f $data/data/meta.properties ]]; then
  # Any fixed id will do: there is one cluster.
  "${java[@]}" kafka.tools.StorageTool format --cluster-id cGVuc3RvY2sta2Fma2EwMA --config "$config"
fi
exec "${java[@]}" kafka.Kafka "$config"
