"""The cases of the rules of the administrator's kinds, CheckpointStore and SourceConnection; see `cases`."""

from tests.integration.api.cases import Case

SASL = {"mechanism": "SCRAM-SHA-512", "secretRef": {"name": "login"}}

CASES = (
    Case(
        "CheckpointStore",
        "spec.endpoint must be the URL of an S3 server",
        accepted=tuple(
            {"endpoint": url}
            for url in ("https://s3.example.com", "http://minio:9000", "http://10.0.0.1:7070/", "http://[::1]:7070")
        ),
        refused=tuple(
            {"endpoint": url}
            for url in (
                "s3.example.com",
                "s3://bucket",
                "http://",
                "https://a/b",
                "https://key:secret@a",
                "https://a?x=y",
            )
        ),
    ),
    Case(
        "CheckpointStore",
        "spec.bucket cannot be changed",
        before={},
        accepted=({"region": "eu-central-1"},),
        refused=({"bucket": "other"},),
    ),
    Case(
        "CheckpointStore",
        "spec.prefix cannot be changed",
        before={},
        accepted=({"prefix": ""},),
        refused=({"prefix": "other"},),
    ),
    Case(
        "CheckpointStore",
        "spec.prefix must not begin or end with /",
        accepted=({"prefix": "a"}, {"prefix": "team/flink-2.x"}),
        refused=({"prefix": "/a"}, {"prefix": "a/"}, {"prefix": "a//b"}, {"prefix": "a/../b"}),
    ),
    Case(
        "CheckpointStore",
        "spec.jobCredentials needs exactly one of",
        accepted=({"jobCredentials": {"serviceAccount": True}}, {"jobCredentials": {"secretName": "s3"}}),
        refused=({"jobCredentials": {}}, {"jobCredentials": {"secretName": "s3", "serviceAccount": True}}),
    ),
    Case(
        "CheckpointStore",
        "spec.allowedNamespaces needs exactly one of",
        accepted=({"allowedNamespaces": {"all": True}}, {"allowedNamespaces": {"names": [], "all": True}}),
        refused=(
            {"allowedNamespaces": {}},
            {"allowedNamespaces": {"names": []}},
            {"allowedNamespaces": {"names": ["a"], "all": True}},
        ),
    ),
    Case(
        "SourceConnection",
        "spec.kafka.bootstrapServers must name at least one broker",
        accepted=({}, {"kafka.bootstrapServers": ["a:1", "b:1"]}),
        refused=({"kafka.bootstrapServers": []},),
    ),
    Case(
        "SourceConnection",
        "spec.kafka.bootstrapServers[] must be host:port",
        accepted=tuple(
            {"kafka.bootstrapServers": [address]}
            for address in ("kafka-0.kafka.svc:9092", "10.0.0.1:65535", "[::1]:9092", "a_b:1", "KAFKA:9092")
        ),
        refused=tuple(
            {"kafka.bootstrapServers": ["kafka:9092", address]}
            for address in (
                "kafka",
                "kafka:",
                ":9092",
                "",
                "kafka:0",
                "kafka:65536",
                "kafka:9092/",
                "kafka:9092,other:9092",
                "kafka://kafka:9092",
                "user@kafka:9092",
                "kafka :9092",
                "::1:9092",
            )
        ),
    ),
    Case(
        "SourceConnection",
        "spec.kafka.security.sasl.mechanism PLAIN sends the password as it is",
        accepted=(
            {"kafka.security": {"sasl": SASL | {"mechanism": "PLAIN"}, "tls": {}}},
            {"kafka.security": {"sasl": SASL | {"mechanism": "PLAIN"}, "tls": {"caSecretRef": {"name": "ca"}}}},
            {"kafka.security": {"sasl": SASL}},
            {"kafka.security": {"tls": {}}},
            {"kafka.security": {}},
        ),
        refused=({"kafka.security": {"sasl": SASL | {"mechanism": "PLAIN"}}},),
    ),
    Case(
        "SourceConnection",
        "spec.allowedNamespaces needs exactly one of",
        accepted=({"allowedNamespaces": {"all": True}}, {"allowedNamespaces": {"names": [], "all": True}}),
        refused=(
            {"allowedNamespaces": {}},
            {"allowedNamespaces": {"names": []}},
            {"allowedNamespaces": {"names": ["a"], "all": True}},
        ),
    ),
)
