"""A network of the campaign's own: a namespace per member and one for the clients, each on its own cable to one bridge.

  operator (the campaign's namespace: the daemon, the bridge)  10.99.0.254
  member N                                                     10.99.0.N
  clients                                                      10.99.0.200

The daemon runs members at addresses of its own host only, so the operator's namespace owns the members' addresses too;
without their entries in its local routing table it still reaches them over the bridge.
"""
import os
import subprocess

OPERATOR, CLIENTS = "operator", "clients"
SUBNET = "10.99.0"
RULES = """
table inet campaign {
    set cut {
        type ipv4_addr
    }
    set lossy {
        type ipv4_addr
    }
    chain input {
        type filter hook input priority 0
        ip saddr @cut drop
        ip saddr @lossy numgen random mod 100 < 25 drop
    }
}
"""


def run(*arguments, text=None, check=True):
    done = subprocess.run(arguments, capture_output=True, text=True, input=text)
    if check and done.returncode:
        raise OSError(f"{' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return done


class Network:
    def __init__(self, members):
        self.members = list(members)
        self.places = [OPERATOR, CLIENTS, *self.members]
        # Names of namespaces are mounts; these are seen by nobody else, and end with the campaign.
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "campaign", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", f"{self.address(OPERATOR)}/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        # What comes from an address that it has itself would be refused otherwise.
        with open("/proc/sys/net/ipv4/conf/bridge/accept_local", "w") as file:
            file.write("1")
        for place in self.places[1:]:
            self.connect(place)
        for place in self.places:
            self.inside(place, "nft", "-f", "-", text=RULES)

    def connect(self, place):
        name, port = self.namespace(place), self.port(place)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", port, "master", "bridge", "up")
        self.inside(place, "ip", "address", "add", f"{self.address(place)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.inside(place, "ip", "link", "set", device, "up")
        if place in self.members:
            run("ip", "address", "add", f"{self.address(place)}/32", "dev", "lo")
            run("ip", "route", "delete", "table", "local", "local", self.address(place), "dev", "lo")

    @staticmethod
    def namespace(place):
        return place if place == CLIENTS else f"member{place}"

    @staticmethod
    def port(place):
        """The bridge's end of a place's cable."""
        return f"to-{Network.namespace(place)}"

    @staticmethod
    def address(place):
        return f"{SUBNET}.{ {OPERATOR: 254, CLIENTS: 200}.get(place, place) }"

    @staticmethod
    def entering(place):
        """The beginning of a command that is run at a place; it becomes that command, under the same pid."""
        return [] if place == OPERATOR else ["nsenter", f"--net=/run/netns/{Network.namespace(place)}"]

    def inside(self, place, *arguments, text=None, check=True):
        return run(*self.entering(place), *arguments, text=text, check=check)

    # What can be wrong with it. Every direction is set by itself, at the receiver.

    def mark(self, kind, source, target):
        self.inside(target, "nft", "add", "element", "inet", "campaign", kind, f"{{ {self.address(source)} }}")

    def cut(self, source, target):
        """Nothing that `source` sends reaches `target`."""
        self.mark("cut", source, target)

    def lose(self, source, target):
        """A quarter of what `source` sends does not reach `target`."""
        self.mark("lossy", source, target)

    def slow(self, place, kilobits):
        """Both directions of a place's cable; what waits for longer than 400 ms is lost."""
        shape = ("root", "tbf", "rate", f"{kilobits}kbit", "burst", "5kb", "latency", "400ms")
        self.inside(place, "tc", "qdisc", "replace", "dev", "eth0", *shape)
        run("tc", "qdisc", "replace", "dev", self.port(place), *shape)

    def unplug(self, place):
        run("ip", "link", "set", self.port(place), "down")

    def heal(self):
        """As it was in the beginning. What was under way is retransmitted when TCP thinks fit."""
        for place in self.places:
            for kind in ("cut", "lossy"):
                self.inside(place, "nft", "flush", "set", "inet", "campaign", kind)
            if place != OPERATOR:
                run("ip", "link", "set", self.port(place), "up")
                self.inside(place, "tc", "qdisc", "delete", "dev", "eth0", "root", check=False)
                run("tc", "qdisc", "delete", "dev", self.port(place), "root", check=False)
