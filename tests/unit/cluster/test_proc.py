from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from cluster import proc


def test_stat_is_read_past_a_name_with_blanks_and_parentheses() -> None:
    rest = " ".join(str(number) for number in range(4, 23))
    assert proc.parse_stat(f"42 (a) R (b c)) S {rest}") == ("S", 22)


def test_a_process_is_itself_and_no_other_of_the_same_pid() -> None:
    me = proc.identify(os.getpid())
    assert me is not None
    assert proc.alive(me)
    assert not proc.alive(replace(me, started=me.started - 1))
    assert not proc.alive(replace(me, boot="another boot"))
    assert not proc.alive(None)


def test_a_signal_never_reaches_the_later_owner_of_a_pid() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        now = proc.identify(child.pid)
        assert now is not None
        proc.send(replace(now, started=now.started + 1), signal.SIGKILL)
        assert proc.wait_gone([now], 0.2) == [now]
        proc.send(now, signal.SIGKILL)
        assert proc.wait_gone([now], 20) == []


def test_a_zombie_is_not_alive() -> None:
    child = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert proc.identify(child) is None
    os.waitpid(child, 0)


def test_a_started_process_is_found_by_its_pid_file_and_stopped(tmp_path: Path) -> None:
    log, pid_file = tmp_path / "log", tmp_path / "pid.json"
    who = proc.start(["sh", "-c", "echo $WORD; exec sleep 60"], pid_file, log, {"WORD": "hello"})
    assert proc.load(pid_file) == who
    assert proc.alive(who)
    deadline = time.monotonic() + 20
    while log.read_text() != "hello\n" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert log.read_text() == "hello\n"
    proc.stop(who, 5)
    assert not proc.alive(who)
    os.waitpid(who.pid, 0)


def test_a_broken_pid_file_is_no_identity(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert proc.load(file) is None
    for text in ("", "[]", "{}", '{"pid": 1}', "null"):
        file.write_text(text)
        assert proc.load(file) is None
