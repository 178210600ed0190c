import json
import os
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import process

WAITS = [sys.executable, "-c", "import signal; signal.pause()"]
STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("up")
while True: signal.pause()
"""


def test_a_child_has_a_session_of_its_own_and_is_found_again(tmp_path: Path) -> None:
    child = process.spawn("sleeper", WAITS, state=tmp_path)
    try:
        assert process.running("sleeper", state=tmp_path) == child
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        assert process.stop("sleeper", state=tmp_path)
    assert process.running("sleeper", state=tmp_path) is None
    assert not process.stop("sleeper", state=tmp_path)


def test_a_reused_pid_is_neither_taken_for_ours_nor_stopped(tmp_path: Path) -> None:
    stranger = process.spawn("stranger", WAITS, state=tmp_path)
    ours = replace(stranger, name="sleeper", born="another time")
    (tmp_path / "sleeper.process.json").write_text(json.dumps(asdict(ours)))
    assert process.running("sleeper", state=tmp_path) is None
    assert not process.stop("sleeper", state=tmp_path)
    assert process.is_ours(stranger)
    process.stop("stranger", state=tmp_path)


def test_a_child_that_ignores_term_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    command = [sys.executable, "-c", STUBBORN, str(ready)]
    child = process.spawn("stubborn", command, state=tmp_path)
    assert ready.read_text() == "up"
    assert process.stop("stubborn", state=tmp_path, wait_s=0.2)
    assert not process.is_ours(child)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_child_can_be_asked_to_end_although_we_cannot(
    tmp_path: Path, sign: signal.Signals
) -> None:
    """A signal that is ignored stays ignored in children, and in Java for good."""
    before = signal.signal(sign, signal.SIG_IGN)
    try:
        tells = f"import signal; print(signal.getsignal({sign:d}) is signal.SIG_IGN)"
        child = process.spawn("asked", [sys.executable, "-c", tells], state=tmp_path)
        os.waitpid(child.pid, 0)
    finally:
        signal.signal(sign, before)
    assert Path(child.log).read_text() == "False\n"


def test_a_child_that_ended_by_itself_is_not_running_although_nobody_waited_for_it(
    tmp_path: Path,
) -> None:
    child = process.spawn("brief", [sys.executable, "-c", ""], state=tmp_path)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.running("brief", state=tmp_path) is None


def test_a_second_child_of_the_same_name_is_refused(tmp_path: Path) -> None:
    process.spawn("sleeper", WAITS, state=tmp_path)
    try:
        with pytest.raises(SandboxError, match="already running as process"):
            process.spawn("sleeper", WAITS, state=tmp_path)
    finally:
        process.stop("sleeper", state=tmp_path)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no-such-program"):
        process.spawn("absent", ["no-such-program"], state=tmp_path)


def test_a_damaged_record_is_named_and_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "sleeper.process.json").write_text("{")
    with pytest.raises(SandboxError, match=r"sleeper\.process\.json is damaged"):
        process.running("sleeper", state=tmp_path)


def test_the_environment_reaches_the_child_and_not_its_command(tmp_path: Path) -> None:
    show = [sys.executable, "-c", "import os; print(os.environ['SECRET'], flush=True)"]
    child = process.spawn("shows", show, state=tmp_path, environment={"SECRET": "hush"})
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(child.log).read_text() == "hush\n"
    assert "hush" not in (tmp_path / "shows.process.json").read_text()


def test_the_tail_of_a_log_is_its_last_lines_without_javas_stacks(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert "is empty" in process.log_tail(log)
    log.write_text("a\nb\n\tat java.lang.Thread.run(Unknown Source)\n\t... 25 more\nc\n")
    assert process.log_tail(log, lines=2) == "b\nc"
