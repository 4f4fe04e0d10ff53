"""Mounts below a folder."""

from __future__ import annotations

from pathlib import Path

from cluster.shell import attempt

MOUNTINFO = Path("/proc/self/mountinfo")
# In a line of mountinfo, counted from 1.
MOUNT_POINT_FIELD = 5


def parse(mountinfo: str, below: Path) -> list[str]:
    """Mount points at or below a folder, the deepest and latest first, out of the text of /proc/self/mountinfo."""
    found: list[tuple[int, int, str]] = []
    for line in mountinfo.splitlines():
        *_, written = line.split(" ")[:MOUNT_POINT_FIELD]
        # The kernel writes a blank as \040; the rest is UTF-8 as it stands.
        point = written.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if point == str(below) or point.startswith(f"{below}/"):
            found.append((point.count("/"), len(found), point))
    return [point for *_, point in sorted(found, reverse=True)]


def below(folder: Path) -> list[str]:
    """The mount points at or below a folder, in the order in which to unmount them."""
    return parse(MOUNTINFO.read_text(), folder)


def remove(folder: Path) -> None:
    """Unmount all of them; what is busy goes when its last user does."""
    for point in below(folder):
        attempt(["umount", "--lazy", point])
