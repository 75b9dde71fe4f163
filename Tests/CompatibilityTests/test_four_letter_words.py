"""The four-letter words keep Apache's form, so that scripts and exporters that parse them go on working."""
import re
import unittest

import servers
from case import AGAINST, EnsembleCase, needs


def shape(text):
    """The text without its numbers and addresses: what a parser relies on."""
    text = re.sub(r"(?m)^Zookeeper version:.*$", "Zookeeper version: V", text)
    text = re.sub(r"/[0-9a-f.:\[\]]+:\d+", "/A", text)
    text = re.sub(r"/tmp/\S+", "PATH", text)
    return re.sub(r"-?\d+(\.\d+)?|0x[0-9a-f]+", "N", text)


def keys(text):
    return {line.split("\t")[0] for line in text.splitlines() if "\t" in line}


# What mntr must have whatever else it has (reference/zookeeper.md, 1.7).
MNTR = """version server_state peer_state avg_latency max_latency min_latency packets_received packets_sent
num_alive_connections outstanding_requests uptime znode_count watch_count ephemerals_count approximate_data_size
global_sessions open_file_descriptor_count max_file_descriptor_count last_client_response_size quorum_size""".split()
MNTR_LEADER = "learners synced_followers synced_observers pending_syncs leader_uptime proposal_count commit_count".split()


@needs(servers.APACHE)
class Words(EnsembleCase):
    size = 3
    reference = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.reference = servers.Ensemble([servers.APACHE] * 3).start()
        except AssertionError:
            cls.ensemble.close()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.reference:
            cls.reference.close()
        super().tearDownClass()

    def pair(self, command, role="leader"):
        """The same word to a member of the same role, on both sides."""
        def ask(ensemble):
            member = ensemble.leader() if role == "leader" else ensemble.followers()[0]
            answer = servers.word(member.port, command)
            self.assertIsNotNone(answer, f"{command}: no answer from {member.kind}")
            return answer
        return ask(self.ensemble), ask(self.reference)

    def test_ruok_and_isro(self):
        for command in ("ruok", "isro"):
            ours, theirs = self.pair(command)
            self.assertEqual(ours, theirs)

    def test_srvr(self):
        for role in ("leader", "follower"):
            ours, theirs = self.pair("srvr", role)
            self.assertEqual(shape(ours), shape(theirs))

    def test_stat(self):
        ours, theirs = self.pair("stat", "follower")
        self.assertEqual(shape(ours).splitlines()[0:2], shape(theirs).splitlines()[0:2])
        self.assertEqual(shape(ours).splitlines()[-8:], shape(theirs).splitlines()[-8:])

    def test_conf(self):
        ours, theirs = self.pair("conf")
        names = [[line.split("=")[0] for line in text.splitlines()] for text in (ours, theirs)]
        # The sizes of the directories would take the disk to the loop that answers.
        self.assertLessEqual(set(names[1]) - {"membership: ", "dataDirSize", "dataLogSize"}, set(names[0]))

    def test_cons(self):
        ours, theirs = self.pair("cons", "follower")
        self.assertRegex(ours, r"^ /127\.0\.0\.1:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+")
        self.assertRegex(theirs, r"^ /127\.0\.0\.1:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+")

    def test_mntr(self):
        for role in ("leader", "follower"):
            ours, theirs = self.pair("mntr", role)
            wanted = {f"zk_{key}" for key in MNTR + (MNTR_LEADER if role == "leader" else [])}
            # What this version of Apache's server does not have either is not demanded.
            self.assertEqual(wanted & keys(theirs) - keys(ours), set())

    def test_a_word_that_is_not_allowed_says_so(self):
        restricted = servers.Ensemble([AGAINST])
        try:
            server = restricted.servers[0]
            with open(server.configuration) as file:
                text = file.read().replace("4lw.commands.whitelist=*", "4lw.commands.whitelist=srvr")
            with open(server.configuration, "w") as file:
                file.write(text)
            restricted.start()
            self.assertEqual(servers.word(server.port, "ruok").strip(),
                             "ruok is not executed because it is not in the whitelist.")
        finally:
            restricted.close()


if __name__ == "__main__":
    unittest.main()
