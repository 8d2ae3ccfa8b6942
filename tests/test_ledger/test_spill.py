"""The file beside the ledger: what `put` gave back is there after anything, and nothing else is."""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.ledger import spill
from gateway.ledger.records import Accepted, LedgerUnusable
from gateway.ledger.spill import SLOT, SLOTS, Spill, Spilled, SpillFull
from gateway.settings import Settings, spill_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "panelmux.db.spill"


def opened(path: Path) -> Spill:
    made = Spill(path)
    made.open()
    return made


def seen(made: Spill) -> list[tuple[int, int, str, Decimal | None]]:
    return [(one.slot, one.attempt, one.accepted.remote_id, one.accepted.charge) for one in made.left()]


def test_an_id_is_there_after_a_new_start_until_it_is_let_go(path: Path) -> None:
    first = opened(path)
    slots = [
        first.put(7, Accepted(remote_id="23501", charge=Decimal("0.37"))),
        first.put(8, Accepted(remote_id="ord_01H8-é")),
    ]
    first.free(slots[0])
    slots.append(first.put(9, Accepted(remote_id="1")))
    first.close()
    again = opened(path)
    assert seen(again) == [(0, 9, "1", None), (1, 8, "ord_01H8-é", None)]
    assert slots == [0, 1, 0], "a place that is free is used again"
    assert again.put(10, Accepted(remote_id="2")) == 2, "a place that was taken before is not"
    for one in again.left():
        again.free(one.slot)
    assert again.left() == []
    again.close()


def test_the_file_has_its_whole_length_and_is_its_owners_alone(path: Path) -> None:
    opened(path).close()
    status = path.stat()
    assert status.st_size == SLOTS * SLOT
    assert status.st_blocks * 512 >= SLOTS * SLOT, "a full disk has nothing to refuse"
    assert status.st_mode & 0o777 == 0o600


def test_what_was_half_written_is_no_entry_and_hides_no_other(path: Path) -> None:
    made = opened(path)
    made.put(7, Accepted(remote_id="23501"))
    made.put(8, Accepted(remote_id="23502"))
    whole = path.read_bytes()
    for written in range(1, 8 + int.from_bytes(whole[:4])):
        path.write_bytes(whole[:written] + bytes(SLOT - written) + whole[SLOT:])
        assert seen(made) == [(1, 8, "23502", None)], written
    made.close()
    again = opened(path)
    assert again.put(9, Accepted(remote_id="23503")) == 0, "its place is free"
    assert len(again.left()) == 2
    again.close()


def test_any_byte_that_changed_makes_it_no_entry(path: Path) -> None:
    made = opened(path)
    made.put(7, Accepted(remote_id="23501", charge=Decimal("0.37")))
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:4])
    for place in range(length):
        broken = bytearray(whole)
        broken[place] ^= 0x01
        path.write_bytes(broken)
        assert made.left() == [], place
    path.write_bytes(whole)
    assert len(made.left()) == 1
    made.close()


def test_when_every_place_is_taken_it_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "SLOTS", 3)
    made = opened(path)
    for attempt in range(3):
        made.put(attempt, Accepted(remote_id=str(attempt)))
    with pytest.raises(SpillFull):
        made.put(3, Accepted(remote_id="3"))
    made.free(1)
    assert made.put(3, Accepted(remote_id="3")) == 1
    made.close()


def test_an_id_too_long_for_a_place_is_refused(path: Path) -> None:
    made = opened(path)
    with pytest.raises(ValueError, match="takes more than"):
        made.put(1, Accepted(remote_id="x" * SLOT))
    assert made.left() == []
    made.close()


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerUnusable):
        opened(path)
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_file_that_is_closed_keeps_nothing(path: Path) -> None:
    made = opened(path)
    made.close()
    made.close()
    with pytest.raises(OSError, match="not open"):
        made.put(1, Accepted(remote_id="1"))


def test_what_put_gave_back_survives_a_kill(path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom gateway.ledger.records import Accepted\n"
        "from gateway.ledger.spill import Spill\n"
        "made = Spill(Path(sys.argv[1]))\nmade.open()\nattempt = 0\n"
        "while True:\n    attempt += 1\n"
        "    print(attempt, made.put(attempt, Accepted(remote_id=str(attempt))), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(20)]
        os.kill(child.pid, signal.SIGKILL)
        told += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    made = opened(path)
    there = {(one.attempt, one.slot) for one in made.left()}
    assert {(int(line.split()[0]), int(line.split()[1])) for line in told} <= there
    assert all(isinstance(one, Spilled) and one.accepted.remote_id == str(one.attempt) for one in made.left())
    made.close()


def test_it_is_one_process_at_a_time_that_has_it_and_the_second_is_told_why(path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom gateway.ledger.spill import Spill\n"
        "Spill(Path(sys.argv[1])).open()\n"
    )
    second = [sys.executable, "-c", program, str(path)]
    made = opened(path)
    made.put(7, Accepted(remote_id="23501"))
    refused = subprocess.run(second, capture_output=True, text=True, check=False, timeout=20)
    assert "LedgerUnusable" in refused.stderr
    assert "PANELMUX_NODE" in refused.stderr
    with pytest.raises(LedgerUnusable, match="PANELMUX_NODE"):
        opened(path)
    assert len(made.left()) == 1
    made.close()
    assert subprocess.run(second, check=False, timeout=20).returncode == 0


@pytest.mark.parametrize(("node", "same"), [("a", True), ("b", False)])
def test_two_processes_have_the_same_file_only_by_the_same_name(tmp_path: Path, node: str, same: bool) -> None:
    first, second = (
        spill_path(Settings(ledger="postgresql://x/y", pepper="p", state=str(tmp_path), node=name))
        for name in ("a", node)
    )
    assert (first == second) is same
