"""What happens to the unit and its members when something dies, hangs, or is declared wrongly."""
import signal
import time

from lifecycle import ensure_started
from service import Service, Session, wait_for


def daemon_is_replaced(world, disturb, within):
    """Disturbs the daemon and waits for the next one. The members must keep their processes, a session its life."""
    demo = world.demo
    ensure_started(world)
    daemon, members, restarts, mark = demo.main_pid, demo.members(), demo.restarts, demo.mark()
    with Session(demo) as session:
        began = time.monotonic()
        disturb(daemon)
        wait_for("a new daemon", lambda: demo.main_pid not in (0, daemon) and demo.is_active == "active", within, demo.explain)
        took = time.monotonic() - began
        demo.wait_whole()
        kept = session.check_survived(longest_gap=2)
    assert demo.members() == members, f"members were {members}, are {demo.members()}"
    assert demo.restarts == restarts + 1, f"systemd restarted it {demo.restarts - restarts} times"
    adopted = {entry["MEMBER"] for entry in demo.journal(since=mark) if entry.get("ENSEMBLED_EVENT") == "adopted"}
    assert adopted == {"1", "2", "3"}, f"adopted: {adopted}"
    return mark, f"a new daemon after {took:.1f} s; {kept}"


def killed_daemon(world):
    """kill -9 of the daemon: systemd starts the next one, which adopts the members."""
    return daemon_is_replaced(world, lambda pid: world.demo.signal(pid, signal.SIGKILL), within=20)[1]


def wedged_daemon(world):
    """A daemon stopped by SIGSTOP: the watchdog replaces it."""
    demo = world.demo
    demo.drop_in("[Service]\nWatchdogSec=3\n")
    try:
        # The limit holds for daemons that were started with it.
        demo.systemctl("restart")
        mark, remark = daemon_is_replaced(world, lambda pid: demo.signal(pid, signal.SIGSTOP), within=30)
        assert demo.said("Watchdog timeout", mark), demo.explain()
    finally:
        demo.drop_in("")
        demo.systemctl("restart")
    return remark


def daemon_ended_by_a_stray_signal(world):
    """SIGTERM that no systemctl job explains: the members are left alone, and systemd brings the daemon back."""
    return daemon_is_replaced(world, lambda pid: world.demo.signal(pid, signal.SIGTERM), within=20)[1]


def daemon_that_dies_again_and_again(world):
    """systemd does not give up on a daemon that was killed seven times in a row."""
    demo = world.demo
    ensure_started(world)
    members = demo.members()
    for _ in range(7):
        daemon = wait_for("a daemon", lambda: demo.main_pid, 10, demo.explain)
        demo.signal(daemon, signal.SIGKILL)
        wait_for("the next daemon", lambda: demo.main_pid not in (0, daemon), 10, demo.explain)
    demo.wait_whole()
    wait_for("the unit is active", lambda: demo.is_active == "active", 10, demo.explain)
    assert demo.members() == members, f"members were {members}, are {demo.members()}"


def killed_member(world):
    """kill -9 of a member: the daemon starts it again, and says so in the journal."""
    demo = world.demo
    ensure_started(world)
    members, restarts, mark = demo.members(), demo.restarts, demo.mark()
    began = time.monotonic()
    demo.signal(members[2], signal.SIGKILL)
    wait_for("member 2 has a new process", lambda: demo.members().get(2) not in (None, members[2]), 30, demo.explain)
    demo.wait_whole()
    after = demo.members()
    assert (after[1], after[3]) == (members[1], members[3]) and demo.restarts == restarts, after
    events = [entry["ENSEMBLED_EVENT"] for entry in demo.journal("MEMBER=2", since=mark)]
    assert "memberDied" in events and "memberLaunched" in events, events
    return f"whole again after {time.monotonic() - began:.1f} s"


def wrong_configuration(world):
    """A missing or wrong manifest fails at once, says why in `systemctl status`, and is not tried again."""
    container = world.container
    remarks = []
    for cluster, manifest, status, text in (
            ("missing", None, "78", "/etc/ensembled/missing.yaml: there is no such file"),
            ("wrong", "cluster: wrong\nmembers: 3\n", "78", "/etc/ensembled/wrong.yaml:2:")):
        service = Service(container, cluster, manifest)
        began = time.monotonic()
        done = service.systemctl("start", check=False)
        assert done.returncode != 0, f"{cluster} was started"
        assert time.monotonic() - began < 10, f"the error of {cluster} took {time.monotonic() - began:.1f} s"
        # Longer than RestartSec=.
        time.sleep(1.5)
        seen = service.show("ActiveState", "Result", "ExecMainStatus", "NRestarts")
        wanted = {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": status, "NRestarts": "0"}
        assert seen == wanted, f"{cluster}: {seen}"
        shown = service.systemctl("status", "--no-pager", check=False).stdout
        assert text in shown, f"systemctl status does not say {text!r}:\n{shown}"
        assert any("Status:" in line and text in line for line in shown.splitlines()), f"no Status: line\n{shown}"
        remarks.append(f"{cluster}: status {status}")
        service.systemctl("reset-failed")
    return ", ".join(remarks)


def second_daemon(world):
    """A second daemon for the same cluster is refused (75), and enabling the unit twice is no error."""
    demo = world.demo
    ensure_started(world)
    demo.systemctl("enable")
    demo.systemctl("enable")
    members, daemon = demo.members(), demo.main_pid
    done = world.container.run("/usr/bin/ensembled", "run", "--manifest", demo.manifest_file, "--state-dir",
                               "/var/lib/ensembled/demo", check=False, within=20)
    assert done.returncode == 75 and "another daemon" in done.stderr, f"{done.returncode}: {done.stderr}"
    assert demo.main_pid == daemon and demo.members() == members
    assert demo.ensemblectl("status", check=False).returncode == 0, "the first daemon's socket is gone"


SCENARIOS = [killed_daemon, wedged_daemon, daemon_ended_by_a_stray_signal, daemon_that_dies_again_and_again,
             killed_member, wrong_configuration, second_daemon]
