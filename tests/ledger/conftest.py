"""A folder for the journal and a file for the database, new for every test."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.ledger.sqlite import open_ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[sqlite3.Connection]:
    connection = open_ledger(file)
    yield connection
    connection.close()
