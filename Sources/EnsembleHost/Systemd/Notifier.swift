import CLinux
import CSystemd
import EnsembleBase
import Glibc

/// What systemd is told. Without systemd (no NOTIFY_SOCKET) every call does nothing.
package struct Notifier: Sendable {
    package let isUnderSystemd: Bool

    package init() {
        isUnderSystemd = getenv("NOTIFY_SOCKET") != nil
    }

    package func ready(_ status: String) { send("READY=1\nSTATUS=\(oneLine(status))") }
    package func status(_ status: String) { send("STATUS=\(oneLine(status))") }
    package func stopping(_ status: String) { send("STOPPING=1\nSTATUS=\(oneLine(status))") }

    /// Only called when the reconcile loop has taken a step since the last time: a daemon that runs and decides
    /// nothing is restarted by systemd.
    package func progress() { send("WATCHDOG=1") }

    /// Type=notify-reload wants the monotonic time with RELOADING (sd_notify(3)); Type=notify ignores it.
    package func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        send("RELOADING=1\nMONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)")
    }

    /// Start and stop may go on for this much longer.
    package func extendTimeout(by time: Duration) { send("EXTEND_TIMEOUT_USEC=\(time.inNanoseconds / 1000)") }

    private func send(_ text: String) { sd_notify(0, text) }

    private func oneLine(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }
}
