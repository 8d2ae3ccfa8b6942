"""A certificate, once."""

from pathlib import Path

import pytest

from tests.topology import first_start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one that deploy/compose/first_start.py made, for localhost."""
    folder = tmp_path_factory.mktemp("made")
    first_start(folder, name="localhost")
    return folder / "certificate"
