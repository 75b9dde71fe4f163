import CLinux
import EnsembleControl
import Glibc
import KeeperStorage

/// Starting a server, knowing it again, and hearing of its end.
package enum ServerProcess {
    /// Spawns with an empty signal mask and default dispositions (a child of a Swift thread otherwise inherits blocked
    /// signals and is deaf to SIGTERM: reference/swift-linux.md, section 4), a session of its own, no descriptor but
    /// 0, 1 and 2, and its output appended to `outputFile`.
    package static func spawn(
        _ launch: LaunchCommand, directory: String, outputFile: String
    ) throws(HostError) -> ProcessIdentity {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_addchdir_np(&actions, directory)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = Int32(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | 0x80 /* POSIX_SPAWN_SETSID */
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var pid: pid_t = 0
        let code = withCStrings([launch.executable] + launch.arguments) { arguments in
            withCStrings(launch.environment) { environment in
                posix_spawn(&pid, launch.executable, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else {
            throw HostError(
                launch.executable, "can't be started: \(String(cString: strerror(code)))",
                remedy: "check the program, its rights and \(directory)", isLasting: isLasting(code))
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

    /// execve(2): what the program itself, its path or our rights are the reason for. EAGAIN, ENOMEM, EMFILE, ENFILE,
    /// ETXTBSY (an upgrade writes the program at this moment) and EIO pass.
    static func isLasting(_ code: Int32) -> Bool {
        [ENOENT, EACCES, EPERM, ENOEXEC, ENOTDIR, ELOOP, ENAMETOOLONG, E2BIG, EINVAL].contains(code)
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

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
    }
}
