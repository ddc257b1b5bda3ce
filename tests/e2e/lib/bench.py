# SPDX-License-Identifier: Apache-2.0
"""sluice-bench as a checked load: its server as an endpoint, its client as many clients."""

import json
import re
import signal

from lib import env
from lib.daemon import SANITIZER_ENV
from lib.process import Process, run

_BINARY = env.BUILD / "sluice-bench"


class BenchServer(Process):
    """Echo server. `.address` is where it listens."""

    def __init__(self, directory, *options, address="127.0.0.1:0", name="bench-server"):
        super().__init__(
            [_BINARY, "server", "--listen", address, "--json", *options],
            directory,
            name,
            environment=SANITIZER_ENV,
        )
        self.address = re.search(r"127\.0\.0\.1:\d+", self.wait_line())[0]

    def counted(self):
        """Ends it. Returns what it counted."""
        assert self.stop() == 0, self.stderr()
        return json.loads(self.stdout().splitlines()[-1])


class RunningClient(Process):
    """A load that goes on until interrupt()."""

    def __init__(self, directory, url, *options, name="bench-client"):
        super().__init__(
            [_BINARY, "client", url, "--json", *options],
            directory,
            name,
            environment=SANITIZER_ENV,
        )

    def interrupt(self):
        """Ends it. Returns its result; the caller judges."""
        code = self.stop(signal.SIGINT)
        assert code in (0, 1), (code, self.stderr())
        return {**json.loads(self.stdout()), "stderr": self.stderr()}


def client(directory, url, *options, patience_s=100, name="bench-run"):
    """Runs a load to its end. Returns its result, which counts errors; the caller judges."""
    code, out, err = run(
        [_BINARY, "client", url, "--json", *options],
        directory,
        name,
        environment=SANITIZER_ENV,
        patience_s=patience_s,
    )
    assert code in (0, 1), err
    result = json.loads(out)
    result["stderr"] = err
    return result


def clean_client(directory, url, *options, **keywords):
    """As client(), for loads in which nothing may go wrong."""
    result = client(directory, url, *options, **keywords)
    assert result["errors_total"] == 0, (result["errors"], result["stderr"])
    assert result["failed"] == 0 and result["refused"] == 0, result
    return result
