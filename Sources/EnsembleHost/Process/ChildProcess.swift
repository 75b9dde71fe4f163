import CLinux
import Glibc

/// posix_spawn(3) with nothing inherited but what is named: an empty signal mask and default dispositions (a child of a Swift
/// thread otherwise inherits blocked signals and is deaf to SIGTERM: reference/swift-linux.md, section 4), a session of its
/// own, and no descriptor but the given.
enum ChildProcess {
    /// What a descriptor of the child is.
    enum Source {
        case file(String, flags: Int32)
        /// The same as another of the child's, which comes before it.
        case copy(of: Int32)
        /// One of ours. It must be above the last that the child has.
        case own(Int32)
    }

    /// - Parameters:
    ///   - name: what it is called with; nil: `executable`.
    ///   - directory: the child's working directory; nil: ours.
    ///   - descriptors: of the child, from 0 on.
    /// - Returns: the pid of a child of ours that is not reaped, or the error's number.
    static func spawn(
        _ executable: String, as name: String? = nil, _ arguments: [String], environment: [String], directory: String? = nil,
        descriptors: [Source]
    ) -> Result<pid_t, Failure> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, source) in descriptors.enumerated() {
            switch source {
            case .file(let path, let flags): posix_spawn_file_actions_addopen(&actions, Int32(number), path, flags, 0o640)
            case .copy(let other): posix_spawn_file_actions_adddup2(&actions, other, Int32(number))
            case .own(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
            }
        }
        if let directory { posix_spawn_file_actions_addchdir_np(&actions, directory) }
        posix_spawn_file_actions_addclosefrom_np(&actions, Int32(descriptors.count))

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
        let code = withCStrings([name ?? executable] + arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&pid, executable, &actions, &attributes, arguments, environment)
            }
        }
        return code == 0 ? .success(pid) : .failure(Failure(code: code))
    }

    struct Failure: Error {
        /// As execve(2) and clone(2) give it.
        var code: Int32
        var reason: String { String(cString: strerror(code)) }

        /// execve(2): what the program itself, its path or our rights are the reason for. EAGAIN, ENOMEM, EMFILE, ENFILE,
        /// ETXTBSY (an upgrade writes the program at this moment) and EIO pass.
        var isLasting: Bool { [ENOENT, EACCES, EPERM, ENOEXEC, ENOTDIR, ELOOP, ENAMETOOLONG, E2BIG, EINVAL].contains(code) }
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
