"""What the test files share: one running ensemble per class, and the reason when it cannot be had."""
import os
import unittest

import servers

AGAINST = os.environ.get("COMPATIBILITY_AGAINST", servers.OURS)

try:
    import kazoo.client
    from kazoo.retry import KazooRetry
    HAS_KAZOO = True
except ImportError:
    HAS_KAZOO = False


def needs(*kinds):
    """Skips a class or test unless servers of these kinds can be started."""
    reasons = [reason for reason in map(servers.missing, set(kinds)) if reason]
    return unittest.skipIf(reasons, "; ".join(reasons))


needs_kazoo = unittest.skipUnless(HAS_KAZOO, "Debian's package `python3-kazoo` is not installed")
not_quick = unittest.skipIf(os.environ.get("COMPATIBILITY_QUICK"), "--quick")


class EnsembleCase(unittest.TestCase):
    """`size` servers of the kind under test, started once per class; clients are closed after each test."""
    size = 1
    extra = ""
    ensemble = None

    @classmethod
    def setUpClass(cls):
        reason = servers.missing(AGAINST)
        if reason:
            raise unittest.SkipTest(reason)
        cls.ensemble = servers.Ensemble([AGAINST] * cls.size, cls.extra)
        try:
            cls.ensemble.start()
        except AssertionError:
            cls.ensemble.close()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.ensemble:
            cls.ensemble.close()

    def client(self, hosts=None, timeout=5.0, **options):
        """A started kazoo client."""
        client = kazoo.client.KazooClient(hosts=hosts or self.ensemble.hosts, timeout=timeout, **options)
        self.addCleanup(_close, client)
        client.start(timeout=20)
        return client

    def root(self, client):
        """A fresh node for this test."""
        path = client.create(f"/{self.id().rsplit('.', 1)[1]}-", sequence=True)
        self.addCleanup(lambda: None)
        return path


def _close(client):
    try:
        client.stop()
        client.close()
    except Exception:
        # A client whose server is gone on purpose has nothing to close.
        pass
