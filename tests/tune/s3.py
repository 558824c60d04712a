"""An S3 server of the tests' own, on loopback: moto's, in this process, with one empty bucket."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import s3fs
from moto.server import ThreadedMotoServer

BUCKET = "s3://bucket"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a bucket that this process and its trials can write to."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().makedirs(BUCKET, exist_ok=True)  # another file of tests may have been here
        yield BUCKET
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
