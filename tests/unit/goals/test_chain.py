"""The chain of records: any change to any byte, and any missing or inserted record, is found."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.domain.errors import StoreError
from qc.goals import chain

NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)


def written(directory: Path, count: int = 4) -> list[chain.ChainedRecord]:
    return [chain.append(directory, "audit", {"findings": ["größer", n], "rate": 0.94}, NOW) for n in range(count)]


def test_a_chain_that_nobody_touched_is_sound(tmp_path: Path) -> None:
    records = written(tmp_path / "audits")
    assert chain.verify(tmp_path / "audits") == []
    assert [record.number for record in chain.records(tmp_path / "audits")] == [1, 2, 3, 4]
    assert [record.previous for record in records] == [chain.FIRST, *(record.sha256 for record in records[:3])]
    assert chain.verify(tmp_path / "never") == []


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chain") / "audits"
    written(directory)
    return directory


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(sound: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(sound.glob("*.json"))))
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = data.draw(st.integers(1, 255))
    try:
        path.write_bytes(original[:position] + bytes([original[position] ^ flipped]) + original[position + 1 :])
        assert any(str(path) in problem for problem in chain.verify(sound))
    finally:
        path.write_bytes(original)
    assert chain.verify(sound) == []


def _remove(directory: Path, files: list[Path]) -> None:
    files[1].unlink()


def _insert(directory: Path, files: list[Path]) -> None:
    shutil.copy(files[1], directory / files[1].name.replace("000002", "000005"))


def _swap(directory: Path, files: list[Path]) -> None:
    spare = directory / "spare"
    shutil.move(files[1], spare)
    shutil.move(files[2], files[1])
    shutil.move(spare, files[2])


def _replace_by_a_record_of_its_own(directory: Path, files: list[Path]) -> None:
    forged = chain.append(directory / "elsewhere", "audit", {"findings": []}, NOW)
    chain.append(directory / "elsewhere", "audit", {"findings": []}, NOW)
    second = sorted((directory / "elsewhere").glob("*.json"))[1]
    assert forged.number == 1
    files[1].write_bytes(second.read_bytes())


def _add_blanks(directory: Path, files: list[Path]) -> None:
    files[3].write_bytes(files[3].read_bytes() + b"\n")


@pytest.mark.parametrize("tamper", [_remove, _insert, _swap, _replace_by_a_record_of_its_own, _add_blanks])
def test_tampering_is_found(tmp_path: Path, tamper: Callable[[Path, list[Path]], None]) -> None:
    written(tmp_path)
    tamper(tmp_path, sorted(tmp_path.glob("*.json")))
    assert chain.verify(tmp_path)


def test_records_cut_off_the_end_are_found_by_who_remembers_the_last(tmp_path: Path) -> None:
    last = written(tmp_path)[-1]
    last.path.unlink()
    assert chain.verify(tmp_path) == []
    (problem,) = chain.verify(tmp_path, last=(last.number, last.sha256))
    assert "is missing" in problem


def test_nothing_is_appended_to_a_broken_end(tmp_path: Path) -> None:
    last = written(tmp_path)[-1]
    last.path.write_text("{}")
    with pytest.raises(StoreError, match="altered"):
        chain.append(tmp_path, "audit", {}, NOW)


def test_two_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: chain.append(tmp_path, "audit", {"n": n}, NOW), range(12)))
    assert chain.verify(tmp_path) == []
    assert len(chain.records(tmp_path)) == 12
