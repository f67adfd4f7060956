"""How many files a gateway lets itself open."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")
PROGRAM = """
import resource, sys
from waypost.cli.serve import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_connections(int(sys.argv[3]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "expected"),
    [
        (100, 500, 200, "464 500"),  # what is needed
        (100, 500, 20_000, "500 500"),  # as far as it may
        (400, 500, 20, "400 500"),  # never less than it had
        (500, 500, 20_000, "500 500"),
    ],
)
def test_the_soft_limit_is_raised(soft: int, hard: int, connections: int, expected: str) -> None:
    words = [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(connections)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == expected
