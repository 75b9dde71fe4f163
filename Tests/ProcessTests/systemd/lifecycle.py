"""What a person does to the unit: start, status, reload, restart, stop."""
import os
import signal
import threading
import time

from service import Session, wait_for


def ensure_started(world):
    """The cluster whole under an active unit, whatever the scenario before left."""
    if world.demo.is_active != "active":
        world.demo.systemctl("reset-failed", check=False)
        world.demo.systemctl("start")
    return world.demo.wait_whole()


def start(world):
    """`systemctl start` returns when the ensemble serves, and not before."""
    demo = world.demo
    began = time.monotonic()
    demo.systemctl("start")
    took = time.monotonic() - began
    # No waiting here: a client that comes the moment after is served.
    status = demo.status()
    assert status and status["quorum"]["participating"] >= status["quorum"]["needed"], f"start came back too early: {status}"
    with Session(demo) as session:
        session.check_survived(longest_gap=3)
    assert demo.is_active == "active", demo.is_active
    demo.wait_whole()
    wait_for("the STATUS line", lambda: "serving, 3 of 3 members, leader" in demo.show("StatusText"), 10, demo.explain)
    shown = demo.systemctl("status", "--no-pager").stdout
    line = next((text.strip() for text in shown.splitlines() if "Status:" in text), None)
    assert line and "serving, 3 of 3" in line, f"systemctl status shows no STATUS line:\n{shown}"
    assert demo.show("Type") == "notify" and int(demo.show("WatchdogUSec").rstrip("s")) == 30, demo.show("WatchdogUSec")
    return f"served after {took:.1f} s; {line}"


def journal(world):
    """Events reach the journal with fields that can be asked for."""
    demo = world.demo
    ensure_started(world)
    entries = demo.journal("MEMBER=2")
    assert entries, "journalctl -u ensembled@demo MEMBER=2 finds nothing"
    for entry in entries:
        for field in ("CLUSTER", "MEMBER", "MESSAGE_ID", "ENSEMBLED_EVENT", "PRIORITY", "SYSLOG_IDENTIFIER"):
            assert field in entry, f"no {field} in {entry}"
        assert entry["CLUSTER"] == "demo" and entry["MEMBER"] == "2" and len(entry["MESSAGE_ID"]) == 32, entry
    launched = next(entry for entry in entries if entry["ENSEMBLED_EVENT"] == "memberLaunched")
    same = demo.journal(f"MESSAGE_ID={launched['MESSAGE_ID']}")
    assert {entry["MEMBER"] for entry in same} == {"1", "2", "3"}, "a MESSAGE_ID does not find the event of each member"
    return f"{len(entries)} entries of member 2"


def reload(world):
    """A changed manifest is applied by a rolling restart: one pid after another, and clients notice nothing."""
    demo = world.demo
    ensure_started(world)
    before, daemon, largest, ended = demo.members(), demo.main_pid, [0], threading.Event()

    def watch():
        # The processes themselves, not the daemon's word: how many of the three exist at each moment.
        while not ended.is_set():
            alive = demo.processes() - {daemon}
            largest[0] = max(largest[0], 3 - len(alive))

    demo.declare(demo.manifest.replace("tickTime: 500ms", "tickTime: 500ms\n  maxClientCnxns: 77"))
    watcher = threading.Thread(target=watch)
    with Session(demo) as session:
        watcher.start()
        try:
            demo.systemctl("reload")
            wait_for("every member has a new process", lambda: len(members := demo.members()) == 3
                     and not set(members.values()) & set(before.values()), 60, demo.explain)
            demo.wait_whole()
        finally:
            ended.set()
            watcher.join()
        kept = session.check_survived(longest_gap=8)
    assert largest[0] <= 1, f"{largest[0]} members were down at the same time"
    assert demo.main_pid == daemon, "reload replaced the daemon"
    for member in (1, 2, 3):
        with open(world.container.path(f"/var/lib/ensembled/demo/members/{member}/zoo.cfg")) as file:
            assert "maxClientCnxns=77" in file.read(), f"member {member} runs with the former settings"
    return kept


def reload_is_announced(world):
    """While the daemon reads the manifest, systemd shows the unit as reloading (RELOADING=1 … READY=1)."""
    demo = world.demo
    ensure_started(world)
    path = world.container.path(demo.manifest_file)
    os.remove(path)
    # Reading a pipe takes until somebody writes.
    os.mkfifo(path)
    try:
        demo.signal(demo.main_pid, signal.SIGHUP)
        wait_for("the unit is reloading", lambda: demo.show("ActiveState") == "reloading", 10, demo.explain)
        end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        # Opening it is what the daemon waited for; it need not read what is no file, and keeps the former manifest.
        os.close(end)
        wait_for("the unit is active again", lambda: demo.show("ActiveState") == "active", 10, demo.explain)
    finally:
        os.remove(path)
        demo.declare(demo.manifest)
    demo.wait_whole()


def reload_of_a_bad_manifest(world):
    """A manifest with mistakes fails the reload, names file and line, and changes nothing."""
    demo = world.demo
    ensure_started(world)
    good, daemon, members, mark = demo.manifest, demo.main_pid, demo.members(), demo.mark()
    refused = good.replace("  - {id: 3,", "  - {id: 4,")
    try:
        demo.declare(good.replace("tickTime: 500ms", "tickTime: never\n  colour: red"))
        done = demo.systemctl("reload", check=False)
        assert done.returncode != 0, "systemctl reload accepts a manifest with mistakes"
        wait_for("the mistakes in the journal", lambda: demo.said("/etc/ensembled/demo.yaml:6:", mark), 5, demo.explain)
        # The daemon itself, asked past the check that ExecReload= makes.
        demo.signal(daemon, signal.SIGHUP)
        wait_for("the daemon's refusal", lambda: demo.said("the former manifest stays in force", mark), 10, demo.explain)
        # Without a mistake, but not for a cluster that lives.
        demo.declare(refused)
        done = demo.systemctl("reload", check=False)
        assert done.returncode != 0, "systemctl reload accepts what a living cluster refuses"
        wait_for("the check's reason", lambda: demo.said("can't be applied to the cluster that lives", mark), 5, demo.explain)
        demo.signal(daemon, signal.SIGHUP)
        wait_for("the reason", lambda: demo.said("adding member 4 to a living cluster", mark), 10, demo.explain)
    finally:
        demo.declare(good)
    assert demo.is_active == "active" and demo.main_pid == daemon and demo.members() == members, demo.explain()


def restart(world):
    """`systemctl restart` replaces the daemon alone: the members keep their processes, a session survives."""
    demo = world.demo
    ensure_started(world)
    daemon, members, mark = demo.main_pid, demo.members(), demo.mark()
    with Session(demo) as session:
        began = time.monotonic()
        demo.systemctl("restart")
        took = time.monotonic() - began
        assert demo.main_pid != daemon, "the daemon is the same"
        demo.wait_whole()
        kept = session.check_survived(longest_gap=2)
    assert demo.members() == members, f"members were {members}, are {demo.members()}"
    adopted = {entry["MEMBER"] for entry in demo.journal(since=mark) if entry.get("ENSEMBLED_EVENT") == "adopted"}
    assert adopted == {"1", "2", "3"}, f"adopted: {adopted}"
    return f"{took:.1f} s; {kept}"


def try_restart(world):
    """`systemctl try-restart` and `reload-or-restart`, as package scripts call them, leave the members alone, too."""
    demo = world.demo
    ensure_started(world)
    members, daemons = demo.members(), [demo.main_pid]
    demo.systemctl("try-restart")
    daemons.append(demo.main_pid)
    demo.systemctl("reload-or-restart")
    daemons.append(demo.main_pid)
    demo.wait_whole()
    assert demo.members() == members, f"members were {members}, are {demo.members()}"
    assert daemons[0] != daemons[1] == daemons[2], daemons


def ordered_stop(world, events_before, leader):
    """The members' ends since then, in order; the leader's must be the last."""
    order = [member for member, _ in world.demo.events("memberStopped")[events_before:]]
    assert sorted(order) == [1, 2, 3], f"stopped: {order}"
    assert order[-1] == leader, f"the leader {leader} was not the last of {order}"
    return order


def stop(world):
    """`systemctl stop` ends the members, the leader last, and leaves no process behind."""
    demo = world.demo
    leader = ensure_started(world)["quorum"]["leader"]
    if leader == 3:
        # The highest id leads at first: with that one, an order by id would look right. On a busy machine it may be back
        # before the others have elected, and win again.
        killed = set()

        def another():
            status, process = demo.is_whole(), demo.members().get(3)
            if status and status["quorum"]["leader"] != 3:
                return status["quorum"]["leader"]
            if status and process and process not in killed:
                killed.add(process)
                demo.signal(process, signal.SIGKILL)
            return None

        leader = wait_for("another leader", another, 60, demo.explain)
    before, began = len(demo.events("memberStopped")), time.monotonic()
    demo.systemctl("stop")
    took = time.monotonic() - began
    assert demo.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}, demo.explain()
    assert not demo.processes(), f"left in the cgroup: {demo.processes()}"
    order = ordered_stop(world, before, leader)
    demo.systemctl("start")
    demo.wait_whole()
    return f"{took:.1f} s, in the order {order}"


def stop_without_a_bus(world):
    """Where no D-Bus daemon runs, stop and restart are still told apart."""
    demo, container = world.demo, world.container
    leader = ensure_started(world)["quorum"]["leader"]
    container.run("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        members = demo.members()
        demo.systemctl("restart")
        demo.wait_whole()
        assert demo.members() == members, "restart without a bus did not leave the members alone"
        before = len(demo.events("memberStopped"))
        demo.systemctl("stop")
        assert demo.is_active == "inactive" and not demo.processes(), f"left: {demo.processes()} {demo.explain()}"
        ordered_stop(world, before, leader)
    finally:
        container.run("systemctl", "start", "dbus.socket")


SLOW_SERVER = """#!/bin/bash
# A server that takes its time to start and to stop.
sleep 3
/usr/bin/ensemble-server "$@" & server=$!
trap 'sleep 2; kill $server' TERM
wait $server; wait $server
"""


def slow_start_and_stop(world):
    """Start and stop may take longer than the unit's limits while the daemon says that it is at work."""
    demo = world.demo
    demo.systemctl("stop")
    world.container.write("/usr/local/bin/slow-server", SLOW_SERVER, mode=0o755)
    demo.drop_in("[Service]\nTimeoutStartSec=2\nTimeoutStopSec=2\nExecStart=\nExecStart=/usr/bin/ensembled run "
                 "--manifest /etc/ensembled/%i.yaml --server-binary /usr/local/bin/slow-server\n")
    try:
        began = time.monotonic()
        demo.systemctl("start")
        started = time.monotonic() - began
        assert started > 2, f"the servers were not slow: {started:.1f} s"
        leader = demo.wait_whole()["quorum"]["leader"]
        before, began = len(demo.events("memberStopped")), time.monotonic()
        demo.systemctl("stop")
        stopped = time.monotonic() - began
        assert demo.show("Result") == "success" and stopped > 4, f"{demo.show('Result')} after {stopped:.1f} s {demo.explain()}"
        ordered_stop(world, before, leader)
        assert not demo.processes(), demo.processes()
    finally:
        demo.drop_in("")
    return f"start {started:.1f} s and stop {stopped:.1f} s, both limits 2 s"


SCENARIOS = [start, journal, reload, reload_is_announced, reload_of_a_bad_manifest, restart, try_restart, stop,
             stop_without_a_bus, slow_start_and_stop]
