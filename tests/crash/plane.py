"""What the runs share: a real API server with its etcd and garbage collector, and a real S3 server, on loopback.

They are the programs of `cluster/` without its node: no pods, no containers, no root, ports and directories of their
own. Nothing of the machine's test cluster is touched.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

import yaml

from cluster import client, gobuild, settings
from tests.crash import processes
from tests.crash.processes import ROOT, free_port

ADMIN, OPERATOR = "admin-of-the-harness", "operator-under-test"
"""Bearer tokens of the API server: the harness as a user and as Flink, and the operator with its real rights."""
BUCKET = "crash"
KEYS = ("crash-harness", "crash-harness-secret")
_READY_SECONDS = 60
_OPERATOR_USER = "system:serviceaccount:penstock-system:penstock"
_FORMATS = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/format/enum/-"
LATER_FORMAT = "Incremental"
"""A format that only the CRD knows, as that of a later version does after the operator was rolled back."""
_LATER = {"op": "add", "path": _FORMATS, "value": LATER_FORMAT}
_CONTROLLERS = "garbage-collector-controller"
"""Pods, ReplicaSets and the like are the harness's part (`kubelet.py`); collecting owned objects is the real one's."""


@dataclass
class Plane:
    """The servers, and where they are."""

    folder: Path
    api: str = ""
    s3: str = ""
    etcd: str = ""
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    async def open(cls, folder: Path) -> Plane:
        """Start everything and install the kinds, the admission policies and the operator's rights."""
        plane = cls(folder)
        try:
            await plane._start()
        except BaseException:
            plane.close()
            raise
        return plane

    async def _start(self) -> None:
        where = settings.paths()
        await asyncio.to_thread(gobuild.build_cluster_programs, where)
        gateway = await asyncio.to_thread(gobuild.build, where, gobuild.VERSITYGW)
        self._write_keys()
        etcd, peer, api, s3 = (free_port() for _ in range(4))
        self.api, self.s3 = f"https://127.0.0.1:{api}", f"http://127.0.0.1:{s3}"
        self.etcd = f"http://127.0.0.1:{etcd}"
        self._etcd(where.bin / "etcd", self.etcd, f"http://127.0.0.1:{peer}")
        self._s3(gateway, s3)
        await _until("etcd answers", lambda: client.get(f"{self.etcd}/health") is not None)
        self._api(where.bin / "kube-apiserver", self.etcd, api)
        await _until("the API server is ready", lambda: client.get(f"{self.api}/readyz") is not None)
        await _until("the S3 server is ready", lambda: client.get(f"{self.s3}/health") is not None)
        self._controllers(where.bin / "kube-controller-manager")
        await self._install(where.bin / "kubectl")

    def _write_keys(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN},harness,harness,"system:masters"\n'
            f'{OPERATOR},{_OPERATOR_USER},operator,"system:serviceaccounts,system:serviceaccounts:penstock-system"\n'
        )
        # Signs service accounts' tokens, which nobody asks for here; the API server wants a key all the same.
        command = f"openssl ecparam -name prime256v1 -genkey -noout -out {self.folder / 'sa.key'}"
        subprocess.run(command.split(), check=True, capture_output=True)
        self._write_certificate()

    def _write_certificate(self) -> None:
        """The API server's, on an elliptic curve: each watch of each operator shakes hands, and with RSA that is dear.

        It is also all the authorities that operators know, who talk in plain to the choke point: to read those of the
        machine would take each of them a tenth of its start.
        """
        (self.folder / "certificates").mkdir(exist_ok=True)
        request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
        files = ["-keyout", str(self.folder / "certificates/apiserver.key"), "-out", str(self.certificate)]
        subprocess.run([*request.split(), *files], check=True, capture_output=True)

    @property
    def certificate(self) -> Path:
        """The API server's certificate."""
        return self.folder / "certificates/apiserver.crt"

    def _etcd(self, program: Path, here: str, peer: str) -> None:
        flags = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": here,
            "advertise-client-urls": here,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            # A run writes about a megabyte of revisions, and there are more than a thousand runs.
            "auto-compaction-retention": "3m",
            "quota-backend-bytes": 8 << 30,
            "log-level": "warn",
        }
        self._run("etcd", [program, *_flags(flags)])

    def _s3(self, program: Path, port: int) -> None:
        data = self.folder / "s3"
        (data / BUCKET).mkdir(parents=True, exist_ok=True)  # a directory below the served one is a bucket
        command = [program, "--port", f"127.0.0.1:{port}", "--region", "us-east-1", "--health", "/health", "--quiet"]
        keys = {"ROOT_ACCESS_KEY": KEYS[0], "ROOT_SECRET_KEY": KEYS[1]}
        self._run("versitygw", [*command, "posix", data], keys)

    def _api(self, program: Path, etcd: str, port: int) -> None:
        flags = {
            "etcd-servers": etcd,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": port,
            "tls-cert-file": self.certificate,
            "tls-private-key-file": self.folder / "certificates/apiserver.key",
            "token-auth-file": self.folder / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self.folder / "sa.key",
            "service-account-signing-key-file": self.folder / "sa.key",
            "service-cluster-ip-range": "10.99.0.0/24",
            "authorization-mode": "RBAC",
            # No controller makes the accounts and their tokens that this plugin would put into pods.
            "disable-admission-plugins": "ServiceAccount",
            # Many operators share one user here, whom fairness would slow down.
            "enable-priority-and-fairness": "false",
            "endpoint-reconciler-type": "none",
            "shutdown-delay-duration": "0s",
        }
        self._run("kube-apiserver", [program, *_flags(flags)])

    def _controllers(self, program: Path) -> None:
        config = self.kubeconfig("controllers", self.api, ADMIN)
        flags = {
            "kubeconfig": config,
            "controllers": _CONTROLLERS,
            "leader-elect": "false",
            "secure-port": 0,
            "kube-api-qps": 200,
            "kube-api-burst": 400,
        }
        self._run("kube-controller-manager", [program, *_flags(flags)])

    async def _install(self, kubectl: Path) -> None:
        config = self.kubeconfig("admin", self.api, ADMIN)

        async def run(*arguments: str, given: str = "") -> None:
            command = [str(kubectl), "--kubeconfig", str(config), *arguments]
            await asyncio.to_thread(subprocess.run, command, input=given.encode(), check=True, capture_output=True)

        await run("apply", "--server-side", "-f", str(ROOT / "crds"), "-f", str(ROOT / "manifests/admission"))
        await run("patch", "crd", "checkpoints.penstock.dev", "--type=json", "-p", json.dumps([_LATER]))
        text = (ROOT / "manifests/operator/operator.yaml").read_text()
        kinds = ("Namespace", "ClusterRole", "ClusterRoleBinding")
        rights = [each for each in yaml.safe_load_all(text) if each and each["kind"] in kinds]
        await run("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(rights))
        await run("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
        # Established is not yet served: lists are answered with 429 until the cache of the kind is filled.
        look = [str(kubectl), "--kubeconfig", str(config), "get", "streamjobs,checkpoints,checkpointstores", "-A"]
        await _until(
            "the kinds are served", lambda: subprocess.run(look, check=False, capture_output=True).returncode == 0
        )

    def files(self, namespace: str) -> Path:
        """Where the S3 server keeps what a run has in the bucket: keys are paths, and it keeps nothing beside them."""
        return self.folder / "s3" / BUCKET / namespace

    def kubeconfig(self, name: str, server: str, token: str) -> Path:
        """Write a kubeconfig; JSON is YAML."""
        cluster = {"server": server} | ({"insecure-skip-tls-verify": True} if server.startswith("https") else {})
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "crash", "cluster": cluster}],
            "users": [{"name": "crash", "user": {"token": token}}],
            "contexts": [{"name": "crash", "context": {"cluster": "crash", "user": "crash"}}],
            "current-context": "crash",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(document))
        return path

    def _run(self, name: str, command: list[str | Path], env: dict[str, str] | None = None) -> None:
        # The garbage collector of Go takes a quarter of the API server's time otherwise; memory is not short.
        self._running.append(processes.start(command, self.folder / f"{name}.log", {"GOGC": "400"} | (env or {})))

    def close(self) -> None:
        """Stop everything, the last one first."""
        for process in reversed(self._running):
            processes.stop(process)
        self._running.clear()


def unverified() -> SSLContext:
    """The API server signs its certificate itself, anew for each run."""
    return client.unverified()


def _flags(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


async def _until(what: str, ready: Callable[[], bool]) -> None:
    for _ in range(_READY_SECONDS * 10):
        try:
            if await asyncio.to_thread(ready):
                return
        except (OSError, urllib.error.URLError):
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"waited {_READY_SECONDS} s in vain: {what}")
