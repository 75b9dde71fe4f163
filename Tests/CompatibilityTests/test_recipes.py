"""kazoo's recipes: what people build on a server shows more than single calls do."""
import threading
import unittest

import servers
from case import EnsembleCase, needs_kazoo


@needs_kazoo
class Recipes(EnsembleCase):
    size = 3

    def setUp(self):
        self.first = self.client(self.ensemble.servers[0].host)
        self.second = self.client(self.ensemble.servers[1].host)
        self.path = self.root(self.first)

    def test_lock(self):
        held, waiting = self.first.Lock(self.path, "a"), self.second.Lock(self.path, "b")
        self.assertTrue(held.acquire(timeout=10))
        self.assertFalse(waiting.acquire(blocking=False))
        got = threading.Event()
        thread = threading.Thread(target=lambda: waiting.acquire(timeout=20) and got.set())
        thread.start()
        self.assertFalse(got.wait(0.3))
        held.release()
        self.assertTrue(got.wait(10))
        thread.join()
        waiting.release()

    def test_a_lock_is_freed_by_the_holders_death(self):
        self.assertTrue(self.first.Lock(self.path).acquire(timeout=10))
        self.first.stop()
        self.assertTrue(self.second.Lock(self.path).acquire(timeout=15))

    def test_counter(self):
        counters = [client.Counter(f"{self.path}/n") for client in (self.first, self.second)]

        def add(counter):
            for _ in range(25):
                counter += 1
        threads = [threading.Thread(target=add, args=(counter,)) for counter in counters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.first.sync(self.path)
        self.assertEqual(counters[0].value, 50)

    def test_election(self):
        order = []
        done = threading.Event()

        def lead(name, last):
            order.append(name)
            if last:
                done.set()
        first = threading.Thread(target=lambda: self.first.Election(self.path, "a").run(lead, "a", False))
        first.start()
        first.join(15)
        self.second.Election(self.path, "b").run(lead, "b", True)
        self.assertTrue(done.wait(15))
        self.assertEqual(order, ["a", "b"])

    def test_queue(self):
        put, get = self.first.Queue(self.path), self.second.Queue(self.path)
        for item in (b"1", b"2", b"3"):
            put.put(item)
        self.second.sync(self.path)
        self.assertEqual([get.get() for _ in range(3)], [b"1", b"2", b"3"])
        self.assertIsNone(get.get())

    def test_locking_queue(self):
        put, get = self.first.LockingQueue(self.path), self.second.LockingQueue(self.path)
        put.put(b"low", priority=100)
        put.put(b"high", priority=1)
        self.second.sync(self.path)
        self.assertEqual(get.get(timeout=10), b"high")
        self.assertTrue(get.consume())
        self.assertEqual(get.get(timeout=10), b"low")
        self.assertTrue(get.consume())

    def test_barrier(self):
        barrier = self.first.Barrier(f"{self.path}/b")
        barrier.create()
        other = self.second.Barrier(f"{self.path}/b")
        self.second.sync(self.path)
        self.assertFalse(other.wait(timeout=0.3))
        barrier.remove()
        self.assertTrue(other.wait(timeout=10))

    def test_double_barrier(self):
        barriers = [client.DoubleBarrier(f"{self.path}/d", 2) for client in (self.first, self.second)]
        for act in ("enter", "leave"):
            threads = [threading.Thread(target=getattr(barrier, act)) for barrier in barriers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
                self.assertFalse(thread.is_alive(), act)

    def test_party(self):
        first, second = self.first.Party(self.path, "a"), self.second.Party(self.path, "b")
        first.join()
        second.join()
        self.first.sync(self.path)
        self.assertEqual(sorted(first), ["a", "b"])
        second.leave()
        self.first.sync(self.path)
        self.assertEqual(list(first), ["a"])

    def test_semaphore(self):
        first, second = (client.Semaphore(self.path, max_leases=1) for client in (self.first, self.second))
        self.assertTrue(first.acquire(timeout=10))
        self.assertFalse(second.acquire(blocking=False))
        first.release()
        self.assertTrue(second.acquire(timeout=10))

    def test_watchers_of_data_and_children(self):
        seen = []
        changed = threading.Condition()

        @self.first.DataWatch(self.path)
        def data(value, stat):
            with changed:
                seen.append(value)
                changed.notify()
        for value in (b"1", b"2"):
            self.second.set(self.path, value)
            with changed:
                self.assertTrue(changed.wait_for(lambda: value in seen, 10))
        self.assertEqual(seen[-2:], [b"1", b"2"])


if __name__ == "__main__":
    unittest.main()
