"""`python3 -m cluster <command>`: a throw-away Kubernetes for the demo and the tests."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from cluster import builtin, gobuild, kind, settings, tools
from cluster.cache import locked
from cluster.images import catalogue, runtime
from cluster.say import say
from cluster.settings import ClusterError, Paths, paths
from cluster.shell import attempt, run

CHOICES = ("builtin", "kind", "current")


def choose(where: Paths) -> str:
    """Which cluster: CLUSTER when it is set, the built-in one when it runs, kind when Docker answers, else built-in."""
    wanted = os.environ.get("CLUSTER", "")
    if wanted:
        if wanted not in CHOICES:
            raise ClusterError(f"CLUSTER={wanted} is unknown: use one of {', '.join(CHOICES)}.")
        return wanted
    if where.pids.is_dir():
        return "builtin"
    return "kind" if kind.docker_answers() else "builtin"


def _kubectl(where: Paths) -> str:
    return str(where.bin / "kubectl") if (where.bin / "kubectl").exists() else "kubectl"


def _current_context(where: Paths) -> str:
    context = attempt([_kubectl(where), "config", "current-context"])
    if context is None:
        raise ClusterError("CLUSTER=current, but kubectl is missing or has no current context.")
    return context.strip()


def kubeconfig(where: Paths, choice: str) -> str:
    """The path of the kubeconfig to use."""
    if choice == "current":
        return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not where.kubeconfig.exists():
        raise ClusterError("There is no cluster: run `python3 -m cluster up`.")
    return str(where.kubeconfig)


def command_up(where: Paths, _: argparse.Namespace) -> int:
    """Start the cluster."""
    began = time.monotonic()
    choice = choose(where)
    if choice == "current":
        say(f"Cluster: your current context {_current_context(where)} (CLUSTER=current); nothing is started.")
        return 0
    if os.environ.get("CLUSTER"):
        reason = "CLUSTER says so"
    else:
        reason = "Docker answers" if choice == "kind" else "Docker is not needed for it"
    say(f"Cluster: {choice} ({reason}; CLUSTER=current|kind|builtin chooses).")
    with locked(where.cache / "cluster.lock", "python3 -m cluster up/down"):
        if choice == "kind":
            kind.up(where)
        else:
            builtin.up(where)
    say(f"Ready after {time.monotonic() - began:.1f} s. The kubeconfig is {where.kubeconfig}; to use it, type:")
    print(f"export KUBECONFIG={where.kubeconfig}", flush=True)
    if choice == "builtin" and shutil.which("kubectl") is None:
        print(f"export PATH=$PATH:{where.bin}", flush=True)
    return 0


def command_down(where: Paths, options: argparse.Namespace) -> int:
    """Stop the cluster and verify that nothing is left."""
    choice = choose(where)
    if choice == "current":
        say("CLUSTER=current: the cluster is yours and stays as it is.")
        return 0
    with locked(where.cache / "cluster.lock", "python3 -m cluster up/down"):
        if choice == "kind":
            kind.down(where)
            return 0
        left = builtin.down(where, purge=options.purge)
    for line in left:
        say(f"  left: {line}")
    kept = "" if options.purge else f" (images stay in {where.containerd_root}: `down --purge` deletes them too)"
    say(f"{len(left)} things are left; see above." if left else f"The cluster is gone; nothing of it is left{kept}.")
    return 1 if left else 0


def command_images(where: Paths, options: argparse.Namespace) -> int:
    """Build images and bring those which changed into the cluster."""
    began = time.monotonic()
    choice = choose(where)
    images = catalogue.build(where, options.names)
    if options.save:
        runtime.save_all(images, Path(options.save))
    elif choice == "current":
        say("CLUSTER=current: load these archives into your cluster yourself (for example `minikube image load`).")
        runtime.save_all(images, where.cache / "archives")
    elif choice == "kind":
        runtime.load_into_kind(where, images)
    else:
        if builtin.dead(where):
            raise ClusterError("The cluster is down: run `python3 -m cluster up` first, or use --save DIR.")
        changed = runtime.ensure(where, images)
        say(f"{len(images)} images are in place, {len(changed)} of them new: {time.monotonic() - began:.1f} s.")
    return 0


def command_kubeconfig(where: Paths, _: argparse.Namespace) -> int:
    """Print the kubeconfig's path."""
    print(kubeconfig(where, choose(where)))
    return 0


def command_status(where: Paths, _: argparse.Namespace) -> int:
    """Print a table of the components."""
    choice = choose(where)
    if choice != "builtin":
        print(run([_kubectl(where), "--kubeconfig", kubeconfig(where, choice), "get", "nodes"]), end="")
        return 0
    rows = builtin.status(where)
    for name, pid, state, log in [("COMPONENT", "PID", "STATE", "LOG"), *rows]:
        print(f"{name:<25}{pid:<9}{state:<11}{log}")
    return 0 if all(state == "ready" for _, _, state, _ in rows) else 1


def command_versions(where: Paths, _: argparse.Namespace) -> int:
    """Print the versions of everything that the cluster is made of."""
    for name in ("KUBERNETES", "FLINK", "KAFKA", "KAFKA_CONNECTOR", "VERSITYGW"):
        print(f"{name.lower():<17}{getattr(settings, name + '_VERSION')}")
    print(f"{'debian':<17}{settings.DEBIAN_SUITE}")
    for program in (gobuild.CONTROLPLANE, gobuild.COREDNS, gobuild.VERSITYGW, gobuild.PAUSE):
        built = (where.cache / "go" / f"{program.name}-{program.key()}").exists()
        print(f"{program.name:<17}{program.key()} {'built' if built else 'not built yet'}")
    for tool in (["containerd", "--version"], ["runc", "--version"], ["go", "version"], ["uv", "--version"]):
        print(f"{tool[0]:<17}{(attempt(tool) or 'not installed').splitlines()[0]}")
    return 0


COMMANDS = {
    "up": command_up,
    "down": command_down,
    "images": command_images,
    "kubeconfig": command_kubeconfig,
    "status": command_status,
    "versions": command_versions,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        sub = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if name == "down":
            sub.add_argument("--purge", action="store_true", help="delete the images and logs too")
        if name == "images":
            sub.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(catalogue.RECIPES)}; default all")
            sub.add_argument("--save", metavar="DIR", help="write the archives into a folder instead")
    return top


def main() -> int:
    """Run one command; errors are one sentence."""
    options = parser().parse_args()
    tools.widen_path()
    try:
        return COMMANDS[options.command](paths(), options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `python3 -m cluster up` takes up where this ended.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
