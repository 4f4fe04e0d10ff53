from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cluster.images import archive, flink, jars, layer, runtime, sharing
from cluster.images.archive import Image
from cluster.settings import Paths


@pytest.fixture
def where(tmp_path: Path) -> Paths:
    return Paths(cache=tmp_path / "cache", state=tmp_path / "state")


def fill(tree: Path) -> None:
    layer.put(tree, "/opt/b/run.sh", "#!/bin/sh\n", 0o755)
    layer.put(tree, "/opt/a.txt", "a")
    (tree / "opt/link").symlink_to("a.txt")


def image(where: Paths, name: str = "example.dev/x:1") -> Image:
    return Image(name, (layer.layer(where, "x", "0" * 20, fill),), ("/run",), user="1:1", env={"A": "b"})


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: (tar.extractfile(entry) or io.BytesIO()).read() for entry in tar}


def written(what: Image, leave_out: tuple[str, ...] = ()) -> bytes:
    stream = io.BytesIO()
    archive.write(what, stream, leave_out)
    return stream.getvalue()


def test_a_tree_gives_the_same_tar_whenever_and_in_whatever_order_it_was_made(tmp_path: Path) -> None:
    for number, order in enumerate((["a", "b"], ["b", "a"])):
        tree = tmp_path / str(number)
        for name in order:
            layer.put(tree, name, name)
            os.utime(tree / name, (number, number))
        layer.pack(tree, tmp_path / f"{number}.tar")
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()


def test_a_layer_keeps_modes_and_links_and_belongs_to_its_owner(tmp_path: Path) -> None:
    fill(tmp_path / "tree")
    layer.pack(tmp_path / "tree", tmp_path / "x.tar", lambda name: (7, 8) if name.startswith("opt/b") else (0, 0))
    with tarfile.open(tmp_path / "x.tar") as tar:
        entries = {entry.name: entry for entry in tar}
    assert entries["opt/b/run.sh"].mode == 0o755
    assert (entries["opt/b/run.sh"].uid, entries["opt/b/run.sh"].gid) == (7, 8)
    assert (entries["opt/a.txt"].uid, entries["opt/a.txt"].gid) == (0, 0)
    assert entries["opt/link"].linkname == "a.txt"


def test_a_layer_is_built_once_and_again_after_a_build_that_failed(where: Paths) -> None:
    calls = []

    def fails(tree: Path) -> None:
        calls.append(tree)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        layer.layer(where, "x", "0" * 20, fails)
    first = layer.layer(where, "x", "0" * 20, fill)
    assert layer.layer(where, "x", "0" * 20, fails) == first
    assert len(calls) == 1
    assert first.digest == f"sha256:{hashlib.sha256(first.path.read_bytes()).hexdigest()}"


def test_a_new_key_sweeps_the_old_layer_but_not_one_with_a_longer_name(where: Paths) -> None:
    old = layer.layer(where, "x", "0" * 20, fill)
    other = layer.layer(where, "x-demo", "0" * 20, fill)
    layer.layer(where, "x", "1" * 20, fill)
    assert not old.path.exists()
    assert other.path.exists()


def test_the_archive_is_deterministic_and_every_blob_is_what_its_name_says(where: Paths) -> None:
    what = image(where)
    data = written(what)
    assert data == written(what)
    blobs = {name: body for name, body in members(data).items() if name.startswith("blobs/")}
    assert len(blobs) == 3
    for name, body in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(body).hexdigest()}"


def test_the_archive_is_an_oci_layout_and_a_docker_archive(where: Paths) -> None:
    what = image(where)
    files = members(written(what))
    [entry] = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == archive.image_digest(what)
    assert entry["annotations"]["io.containerd.image.name"] == "example.dev/x:1"
    [docker] = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["example.dev/x:1"]
    settings: dict[str, Any] = json.loads(files[docker["Config"]])
    assert settings["rootfs"]["diff_ids"] == [what.layers[0].digest]
    assert settings["config"] == {"Env": ["A=b"], "WorkingDir": "/", "Entrypoint": ["/run"], "User": "1:1"}
    assert set(docker["Layers"]) <= set(files)


def test_layers_that_the_runtime_has_are_left_out(where: Paths) -> None:
    what = image(where)
    name = "blobs/sha256/" + what.layers[0].digest.removeprefix("sha256:")
    assert name in members(written(what))
    assert name not in members(written(what, (what.layers[0].digest,)))


def test_ctr_listing() -> None:
    listing = "REF TYPE DIGEST SIZE PLATFORMS LABELS\nlocal/a:1 x sha256:aa 1.0 MiB linux/amd64 -\nbroken\n"
    assert runtime.parse_images(listing) == {"local/a:1": "sha256:aa"}


def test_file_names_carry_name_and_digest(where: Paths) -> None:
    what = image(where)
    assert runtime.file_name(what) == f"example.dev-x-1-{archive.image_digest(what)[7:19]}.tar"


def test_every_pinned_jar_has_coordinates_and_a_digest() -> None:
    sets = jars.parse(jars.LOCK.read_text())
    assert set(sets) == {"flink-opt", "flink-1.20", "demo-plugins", "demo-lib", "java", "java-compiler", "kafka"}
    for jar in (jar for those in sets.values() for jar in those):
        assert len(jar.sha256) == 64
        assert jar.path.endswith(f"/{jar.version}/{jar.artifact}-{jar.version}.jar")


def test_flinks_configuration_listens_everywhere_and_names_no_taskmanager() -> None:
    text = """\
jobmanager:
  bind-host: localhost
  rpc:
    address: localhost
taskmanager:
  bind-host: localhost
  # a comment
  host: localhost
rest:
  address: localhost
"""
    assert (
        flink.edit_config(text)
        == """\
jobmanager:
  bind-host: 0.0.0.0
  rpc:
    address: localhost
taskmanager:
  bind-host: 0.0.0.0
  # a comment
rest:
  address: 0.0.0.0
  bind-address: 0.0.0.0
"""
    )


def test_the_class_path_of_shared_classes_is_the_one_that_flinks_scripts_make() -> None:
    """A JVM ignores an archive when its own class path begins otherwise."""
    jars = ["log4j-core-2.25.3.jar", "flink-dist-2.3.0.jar", "flink-cep-2.3.0.jar"]
    where = "/opt/flink/lib/"
    expected = [f"{where}flink-cep-2.3.0.jar", f"{where}log4j-core-2.25.3.jar", f"{where}flink-dist-2.3.0.jar"]
    assert sharing.class_path(jars).split(":") == expected
