"""What all tests have in common."""

import gc


def pytest_collection_finish() -> None:
    """Cases and recordings stay to the end: looking through them, a full collection stops every loop for a second."""
    gc.collect()
    gc.freeze()
