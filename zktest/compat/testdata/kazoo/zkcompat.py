"""A pytest plugin that runs kazoo's own tests with nothing but kazoo and pytest installed.

The tests import two more packages. Where they are missing, this has what the tests use of them.
"""
import gc
import signal
import sys
import types
import unittest.mock

import pytest

try:
    import mock  # noqa: F401
except ImportError:
    sys.modules["mock"] = unittest.mock

try:
    import objgraph  # noqa: F401
except ImportError:
    objgraph = types.ModuleType("objgraph")
    objgraph.count = lambda name: sum(
        type(o).__name__ == name for o in gc.get_objects())
    sys.modules["objgraph"] = objgraph

LIMIT = 40  # seconds, about four times what the slowest test takes


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Fails a test that takes too long: some wait without a limit when something has gone wrong."""
    def late(signum, frame):
        raise TimeoutError("the test took longer than %d s" % LIMIT)

    before = signal.signal(signal.SIGALRM, late)
    # Again and again, because what cleans up after a test may hang too.
    signal.setitimer(signal.ITIMER_REAL, LIMIT, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
