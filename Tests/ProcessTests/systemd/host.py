"""Installing as README.md says, Apache's engine under the unit's hardening, and the host going down."""
import os
import re
import time

from lifecycle import ensure_started, ordered_stop
from service import Service, Session, wait_for


def block(text, heading, language):
    """The first fenced block of a section."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL).group(1)


def readme(world):
    """The README's manifest, its commands as they stand there, and what its table says that one can do."""
    container = world.container
    with open(os.path.join(world.repository, "README.md")) as file:
        text = file.read()
    manifest = block(text, "A manifest", "yaml")
    # A clone in which scripts/build has been run already.
    clone = "/usr/src/ensembled"
    container.write(f"{clone}/orders.yaml", manifest)
    container.write(f"{clone}/scripts/build", "#!/bin/sh\n", mode=0o755)
    for name in (".build", "units"):
        os.symlink(f"/src/{name}", container.path(f"{clone}/{name}"))
    commands = block(text, "systemctl", "")
    container.run("bash", "-euc", f"cd {clone}\n{commands}", within=40)
    orders = Service(container, "orders")
    orders.manifest = manifest
    with Session(orders) as session:
        session.check_survived(longest_gap=5)
    orders.wait_whole()
    assert container.run("systemctl", "is-enabled", orders.unit).stdout.strip() == "enabled"
    assert container.run("ensemblectl", "validate", f"{clone}/orders.yaml").returncode == 0
    assert "leader" in container.run("ensemblectl", "status").stdout
    assert orders.journal("MEMBER=2"), "no journal of member 2"
    orders.systemctl("restart")
    orders.systemctl("reload")
    plan = container.run("ensemblectl", "restart", "--rolling", "--dry-run").stdout
    assert all(f"member {member}" in plan for member in (1, 2, 3)), plan
    # In the archive that the manifest names, which the hardening must let through.
    orders.wait_whole()
    container.run("ensemblectl", "backup", "create")
    listed = container.run("ensemblectl", "backup", "list", "--json").stdout
    identity = re.search(r'"id"\s*:\s*"([^"]+)"', listed).group(1)
    container.run("ensemblectl", "backup", "verify", identity)
    container.run("ensemblectl", "backup", "prune", "--dry-run")
    assert os.listdir(container.path("/var/backups/orders")), "the archive is empty"
    container.run("ensemblectl", "reseed", "2", within=150)  # three times initLimit × tickTime: lost promises are waited out (S2)
    container.run("ensemblectl", "restore", identity, "--confirm", "orders", within=40)
    orders.wait_whole()
    orders.systemctl("stop")
    assert not orders.processes(), orders.processes()
    container.run("systemctl", "disable", orders.unit)


def hardening(world):
    """What systemd thinks of the unit's exposure (0: sealed, 10: open)."""
    done = world.container.run("systemd-analyze", "security", "--no-pager", world.demo.unit + ".service", check=False)
    verdict = re.search(r"Overall exposure level for \S+: ([0-9.]+) (\w+)", done.stdout)
    assert verdict, done.stdout + done.stderr
    assert float(verdict.group(1)) <= 5, f"the exposure has risen to {verdict.group(0)}"
    # That the members inherit it, too: nothing of the system can be written in their view of it.
    ensure_started(world)
    pid = str(world.demo.members()[1])
    mounts = world.container.run("cat", f"/proc/{pid}/mountinfo").stdout
    root = [line.split()[5].split(",") for line in mounts.splitlines() if line.split()[4] == "/"]
    assert root and "ro" in root[-1], f"the root is writable for member 1: {root}"
    status = world.container.run("cat", f"/proc/{pid}/status").stdout
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status
    return verdict.group(0)


def apache(world):
    """Apache's server works under the same unit: start, restart of the daemon, stop."""
    container = world.container
    world.demo.systemctl("stop")
    with open(os.path.join(world.repository, "manifests", "apache.yaml")) as file:
        service = Service(container, "demo-apache", file.read())
    began = time.monotonic()
    service.systemctl("start")
    started = time.monotonic() - began
    service.wait_whole()
    members = service.members()
    with Session(service) as session:
        service.systemctl("restart")
        service.wait_whole()
        kept = session.check_survived(longest_gap=4)
    assert service.members() == members, f"members were {members}, are {service.members()}"
    wait_for("a verified backup", lambda: ((service.status() or {}).get("backups") or {}).get("lastVerified"), 30, service.explain)
    began = time.monotonic()
    service.systemctl("stop")
    assert service.show("Result") == "success" and not service.processes(), service.explain()
    return f"start {started:.1f} s, stop {time.monotonic() - began:.1f} s; {kept}"


def poweroff(world):
    """The host goes down: the members are stopped in order first, in time."""
    demo, container = world.demo, world.container
    leader = ensure_started(world)["quorum"]["leader"]
    before, began = len(demo.events("memberStopped")), time.monotonic()
    container.run("systemctl", "--no-block", "poweroff")
    assert container.wait_end(60), "the machine did not go down within 60 s"
    order = ordered_stop(world, before, leader)
    return f"down after {time.monotonic() - began:.1f} s, members stopped in the order {order}"


BEFORE = [readme]
AFTER = [hardening, apache, poweroff]
