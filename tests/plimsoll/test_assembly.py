"""The basis of the results: it changes with what the core is told, and with nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.rules import Rules
from desk.registry import FolderRegistry
from plimsoll.assembly import basis
from simulators.wujin import scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    scenario(2022).write_registry(folder)
    return folder


def basis_with(folder: Path, file: str, change: Callable[[list[str]], list[str]]) -> str:
    """The basis of this registry with the lines of one file changed, which is put back after that."""
    path = folder / file
    before = path.read_text(encoding="utf-8")
    path.write_text("\n".join(change(before.splitlines())) + "\n", encoding="utf-8")
    try:
        return basis(FolderRegistry(folder), Rules())
    finally:
        path.write_text(before, encoding="utf-8")


def without_the_last(lines: list[str]) -> list[str]:
    return lines[:-1]


def other_order(lines: list[str]) -> list[str]:
    return [lines[0], *reversed(lines[1:])]


def other_companies(lines: list[str]) -> list[str]:
    return [line.replace("Haulage", "Transport") for line in lines]


def moved(lines: list[str]) -> list[str]:
    site, other = lines[1].split(",")[1], lines[2].split(",")[1]
    return [lines[0], lines[1].replace(f",{site},", f",{other},"), *lines[2:]]


def test_the_basis_is_the_same_at_every_start(folder: Path) -> None:
    assert basis(FolderRegistry(folder), Rules()) == basis(FolderRegistry(folder), Rules())


def test_another_threshold_is_another_basis(folder: Path) -> None:
    registry = FolderRegistry(folder)
    assert basis(registry, replace(Rules(), spill_kg=400.0)) != basis(registry, Rules())


@pytest.mark.parametrize("change", [other_order, other_companies])
def test_what_the_core_is_not_told_does_not_count(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    assert basis_with(folder, "trucks.csv", change) == basis(FolderRegistry(folder), Rules())


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("scales.csv", moved),
        ("stations.csv", without_the_last),
        ("registry.toml", lambda lines: [line.replace('"00:00"', '"04:00"') for line in lines]),
        ("sites.geojson", lambda lines: [line.replace('"role": "disposal"', '"role": "depot"') for line in lines]),
    ],
)
def test_what_the_core_is_told_counts(folder: Path, file: str, change: Callable[[list[str]], list[str]]) -> None:
    assert basis_with(folder, file, change) != basis(FolderRegistry(folder), Rules())


def test_a_truck_more_is_another_basis(folder: Path) -> None:
    more = "NEW1,苏D99999,smart,4,16500,13500,31000,新,New,,yes"
    assert basis_with(folder, "trucks.csv", lambda lines: [*lines, more]) != basis(FolderRegistry(folder), Rules())
