"""The short form of scripts/takeover: two rounds of known seeds. The long form is run by hand."""
import os
import subprocess
import unittest

import servers
from case import needs, not_quick
from servers import APACHE, OURS


@needs(OURS, APACHE)
class Takeover(unittest.TestCase):
    @not_quick
    def test_apaches_directories_are_taken_over_and_given_back(self):
        done = subprocess.run([os.path.join(servers.ROOT, "scripts", "takeover"), "--rounds", "2", "--seed", "204"],
                              env={**os.environ, "ENSEMBLE_SERVER": servers.our_binary()}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])


if __name__ == "__main__":
    unittest.main()
