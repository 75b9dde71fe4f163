import CLinux
import EnsembleControl
import Glibc
import KeeperStorage

/// Starting a server, knowing it again, and hearing of its end.
package enum ServerProcess {
    /// Its output is appended to `outputFile`.
    package static func spawn(
        _ launch: LaunchCommand, directory: String, outputFile: String
    ) throws(HostError) -> ProcessIdentity {
        let child = ChildProcess.spawn(
            launch.executable, launch.arguments, environment: launch.environment, directory: directory,
            descriptors: [
                .file("/dev/null", flags: O_RDONLY), .file(outputFile, flags: O_WRONLY | O_CREAT | O_APPEND), .copy(of: 1),
            ])
        let pid: pid_t
        switch child {
        case .success(let started): pid = started
        case .failure(let failure):
            throw HostError(
                launch.executable, "can't be started: \(failure.reason)", remedy: "check the program, its rights and \(directory)",
                isLasting: failure.isLasting)
        }
        limit(pid, launch)
        guard let status = ProcessTable.status(of: pid) else {
            // It is our child and not reaped, so the pid is its own. S3: a server that can't be named must not live on.
            var ignored: Int32 = 0
            kill(pid, SIGKILL)
            waitpid(pid, &ignored, 0)
            throw HostError(launch.executable, "could not be looked at when it was started", remedy: "see \(outputFile)")
        }
        return status.identity
    }

    /// Limits are set from outside, after the start: posix_spawn has no hook, and a server opens its many files later.
    private static func limit(_ pid: pid_t, _ launch: LaunchCommand) {
        if let openFiles = launch.openFiles { _ = clx_set_limit(pid, Int32(bitPattern: RLIMIT_NOFILE.rawValue), UInt64(openFiles)) }
        if let bytes = launch.addressSpace { _ = clx_set_limit(pid, Int32(bitPattern: RLIMIT_AS.rawValue), UInt64(bytes)) }
    }

    /// Signals exactly this process: through a pidfd, after its start time was compared, so that a reused pid is never
    /// hit.
    package static func signal(_ identity: ProcessIdentity, _ number: Int32) {
        let descriptor = Int32(clx_syscall3(Int(SYS_pidfd_open), Int(identity.pid), 0, 0))
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard ProcessTable.status(of: identity.pid)?.identity == identity else { return }
        _ = clx_pidfd_send_signal(descriptor, number)
    }

    /// Blocks until the process has ended. Returns its wait status, or nil when it is not our child.
    ///
    /// S3: it returns only for a death. The pidfd is what is waited for and what is reaped, never the pid: of a process
    /// that was adopted the pid may be another child's a moment later.
    package static func waitForEnd(of identity: ProcessIdentity) -> Int32? {
        while true {
            let descriptor = Int32(clx_syscall3(Int(SYS_pidfd_open), Int(identity.pid), 0, 0))
            guard descriptor >= 0 else {
                if errno == ESRCH { return nil }
                // EMFILE, ENFILE, ENOMEM say nothing about the process.
                usleep(200_000)
                continue
            }
            defer { close(descriptor) }
            switch ProcessTable.find(identity) {
            case .another: return nil
            case .unknown:
                usleep(200_000)
                continue
            case .found: break
            }
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            while poll(&poller, 1, -1) < 0, errno == EINTR {}
            return reap(descriptor)
        }
    }

    private static func reap(_ descriptor: Int32) -> Int32? {
        var status: Int32 = 0
        while true {
            if clx_wait_pidfd(descriptor, &status) == 0 { return status }
            if errno != EINTR { return nil }
        }
    }
}
