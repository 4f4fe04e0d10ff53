"""Certificates by openssl, and kubeconfigs."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.cache import write_atomic
from cluster.settings import (
    API_PORT,
    CLUSTER_DOMAIN,
    CONTEXT,
    GATEWAY,
    KUBERNETES_SERVICE,
    NODE,
    Paths,
)
from cluster.shell import attempt, run

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 365
RENEW_SECONDS = 7 * 24 * 3600
CURVE = "ec -pkeyopt ec_paramgen_curve:prime256v1"


@dataclass(frozen=True)
class Certificate:
    """A certificate to issue: its subject, and the names it is valid for when it serves."""

    name: str
    subject: str
    alternatives: str = ""


_SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
)

CERTIFICATES = (
    Certificate(
        "apiserver",
        "/CN=kube-apiserver",
        ",".join(
            [f"IP:{address}" for address in ("127.0.0.1", GATEWAY, KUBERNETES_SERVICE)]
            + [f"DNS:{name}" for name in ("localhost", NODE, *_SERVICE_NAMES)]
        ),
    ),
    Certificate("kubelet-serving", f"/O=system:nodes/CN=system:node:{NODE}", f"IP:{GATEWAY},IP:127.0.0.1,DNS:{NODE}"),
    Certificate("kubelet", f"/O=system:nodes/CN=system:node:{NODE}"),
    Certificate("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    Certificate("admin", "/O=system:masters/CN=penstock-admin"),
    Certificate("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Certificate("kube-scheduler", "/CN=system:kube-scheduler"),
    Certificate("kube-proxy", "/CN=system:kube-proxy"),
    # Kubernetes has no built-in role that lets a DNS server read EndpointSlices: it is an administrator here.
    Certificate("coredns", "/O=system:masters/CN=penstock-coredns"),
)
KUBECONFIGS = ("admin", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")


def _openssl(folder: Path, options: str, *more: str) -> None:
    """Run openssl in a folder; `options` are split at blanks, `more` are words as they stand."""
    run(["openssl", *options.split(), *more], cwd=folder)


def _issue(folder: Path, certificate: Certificate) -> None:
    name = certificate.name
    usage = "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"
    if certificate.alternatives:
        usage += f"subjectAltName={certificate.alternatives}\n"
    extensions, request = folder / f"{name}.ext", folder / f"{name}.csr"
    extensions.write_text(usage)
    _openssl(folder, f"req -newkey {CURVE} -nodes -keyout {name}.key -out {name}.csr -subj", certificate.subject)
    signed = f"-in {name}.csr -out {name}.crt -days {DAYS} -extfile {name}.ext"
    _openssl(folder, f"x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial {signed}")
    request.unlink()
    extensions.unlink()


def _authority(folder: Path) -> None:
    usage = "keyUsage=critical,keyCertSign,cRLSign"
    subject = "-subj /CN=penstock-local-ca"
    _openssl(
        folder, f"req -x509 -newkey {CURVE} -nodes -keyout ca.key -out ca.crt -days {DAYS} {subject} -addext", usage
    )
    # Signs the service accounts' tokens.
    _openssl(folder, "ecparam -name prime256v1 -genkey -noout -out sa.key")


def _usable(folder: Path) -> bool:
    if not (folder / "complete").exists():
        return False
    check = f"openssl x509 -noout -checkend {RENEW_SECONDS} -in"
    return attempt([*check.split(), str(folder / "ca.crt")]) is not None


def ensure(paths: Paths) -> None:
    """Make the authority, every certificate and every kubeconfig, unless they are there and valid for a week more."""
    folder = paths.pki
    if not _usable(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        _authority(folder)
        for certificate in CERTIFICATES:
            _issue(folder, certificate)
        write_atomic(folder / "complete", "")
    for user in KUBECONFIGS:
        write_atomic(folder / f"{user}.kubeconfig", kubeconfig(folder, user), 0o600)
    write_atomic(paths.kubeconfig, kubeconfig(folder, "admin"), 0o600)


def kubeconfig(folder: Path, user: str) -> str:
    """A kubeconfig with everything embedded. JSON is YAML, so that no YAML library is needed."""

    def embedded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    server = {"server": f"https://127.0.0.1:{API_PORT}", "certificate-authority-data": embedded("ca.crt")}
    keys = {"client-certificate-data": embedded(f"{user}.crt"), "client-key-data": embedded(f"{user}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": server}],
        "users": [{"name": user, "user": keys}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user, "namespace": "default"}}],
        "current-context": CONTEXT,
    }
    return json.dumps(document, indent=2) + "\n"
