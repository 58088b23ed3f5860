"""A cluster for the tests that need one."""

from collections.abc import Iterator

import pytest

from tests.cluster.servers import postgresql, slurm
from tests.conftest import Trompe


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the commands of a SLURM that runs."""
    with slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL that runs."""
    with postgresql() as url:
        yield url


@pytest.fixture
def on_cluster(trompe: Trompe, cluster: dict[str, str]) -> Trompe:
    """`trompe` where SLURM's commands are, and jobs can find it."""
    trompe.env |= cluster
    return trompe
