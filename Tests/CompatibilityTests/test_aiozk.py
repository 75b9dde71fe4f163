"""aiozk: a client whose every recipe makes its nodes as containers (flags 4 of a plain create)."""
import asyncio
import os
import sys
import unittest

import servers
from case import EnsembleCase

# Where scripts/prepare test puts it.
FOLDER = os.path.join(servers.ROOT, ".build", "python")
sys.path.append(FOLDER)
try:
    import aiozk
except ImportError:
    aiozk = None


# Not skipped when it is missing: it is one `scripts/prepare test` away.
class Aiozk(EnsembleCase):
    size = 1

    def setUp(self):
        if aiozk is None:
            self.fail(f"aiozk is not in {FOLDER}: run scripts/prepare test")

    def run_with_two(self, scenario):
        """Runs `scenario(first, second)` with two started clients; what takes longer than this hangs."""
        async def run():
            clients = [aiozk.ZKClient(self.ensemble.hosts, session_timeout=5) for _ in range(2)]
            for client in clients:
                await client.start()
            try:
                await scenario(*clients)
            finally:
                for client in clients:
                    await client.close()
        asyncio.run(asyncio.wait_for(run(), 30))

    def test_ensure_path(self):
        async def scenario(first, second):
            await first.ensure_path("/ensured/to/here")
            self.assertTrue(await second.exists("/ensured/to/here"))
            await first.ensure_path("/ensured/to/here/and/on")
            self.assertEqual(await second.get_children("/ensured/to/here"), ["and"])
        self.run_with_two(scenario)

    def test_lock(self):
        async def scenario(first, second):
            held, waiting = first.recipes.Lock("/lock"), second.recipes.Lock("/lock")
            await held.acquire(timeout=10)
            with self.assertRaises(aiozk.exc.TimeoutError):
                await waiting.acquire(timeout=0.5)
            await held.release()
            again = second.recipes.Lock("/lock")
            await again.acquire(timeout=10)
            await again.release()
        self.run_with_two(scenario)

    def test_election(self):
        async def scenario(first, second):
            leader, other = first.recipes.LeaderElection("/election"), second.recipes.LeaderElection("/election")
            await leader.volunteer()
            await leader.wait_for_leadership(10)
            await other.volunteer()
            self.assertFalse(other.has_leadership)
            await leader.resign()
            await other.wait_for_leadership(10)
            await other.resign()
        self.run_with_two(scenario)

    def test_barrier(self):
        async def scenario(first, second):
            barrier, waiting = first.recipes.Barrier("/barrier"), second.recipes.Barrier("/barrier")
            await barrier.create()
            with self.assertRaises(aiozk.exc.TimeoutError):
                await waiting.wait(timeout=0.5)
            lifted = asyncio.create_task(waiting.wait(timeout=10))
            await asyncio.sleep(0.2)
            await barrier.lift()
            await lifted
        self.run_with_two(scenario)


if __name__ == "__main__":
    unittest.main()
