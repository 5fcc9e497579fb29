"""The run's end of the gateway: what cannot be reached is one line, before a process is started."""

import socket

import pytest

from sparsebench.suites.runner.errors import ExecutorError, UsageError
from sparsebench.suites.runner.execution.executors.ray_cluster.connection import last_words, reach


@pytest.mark.parametrize("address", ["6379", "head", "head:", ":6379", "ray://head:port"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="it must be HOST:PORT, as `ray start --head` prints it"):
        reach(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999"])
def test_nobody_there(address: str) -> None:
    with pytest.raises(ExecutorError, match=f"no Ray at {address} "):
        reach(address)


def test_somebody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach(f"127.0.0.1:{server.getsockname()[1]}")


def test_what_ray_wrote_last_is_one_sentence() -> None:
    log = (
        "[2026-11-26 07:43:51,597 E 26760 26873] rpc_client.h:204: Failed to connect to GCS within 60 seconds. "
        "GCS may have been killed. It's either GCS is terminated by `ray stop` or is killed unexpectedly.\n\n"
    )
    assert last_words(log) == "Failed to connect to GCS within 60 seconds"
    assert last_words("Traceback ...\nConnectionError: no head\n") == "ConnectionError: no head"
    assert last_words("\n") == ""
