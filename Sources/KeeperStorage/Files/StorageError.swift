import Glibc
import KeeperCodec

/// What is wrong with a file or directory, and what a person can do about it.
package struct StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Cause: Hashable, Sendable {
        /// A system call failed.
        case system(operation: String, errno: Int32)
        /// The bytes at `offset` are not what was written there.
        case damaged(offset: Int, problem: String)
        /// A snapshot ends before its content does: its writing was interrupted, or its end was never made durable.
        case cutShort(String)
        /// Each file may be sound, but together they are no database.
        case inconsistent(String)
        /// Another process has the directory: which, if that can be told.
        case held(by: String?)
    }

    package var path: String
    package var cause: Cause
    package var remedy: String

    package init(path: String, cause: Cause, remedy: String) {
        self.path = path
        self.cause = cause
        self.remedy = remedy
    }

    /// S6: the advice never endangers what may be the only copy.
    package static let keepAndReseed = """
        keep the data directory, it may be the only copy; a member of an ensemble is brought up anew by its peers or from a \
        backup, on an empty directory beside it, and a server that stands alone is restored from a backup
        """

    package static func system(_ operation: String, _ path: String, errno code: Int32 = errno) -> StorageError {
        let remedy =
            switch code {
            case ENOSPC, EDQUOT: "free space on the file system, then start the server again"
            case EACCES, EPERM: "give the server's user the right to write there"
            case EROFS: "make the file system writable; the kernel's log says whether an error made it read-only"
            case ENOENT, ENOTDIR: "create the directory, or correct dataDir or dataLogDir"
            default: "check the disk and the kernel's log; a server never goes on after a failed write"
            }
        return StorageError(path: path, cause: .system(operation: operation, errno: code), remedy: remedy)
    }

    /// Nothing of that name is there.
    var isAbsence: Bool {
        if case .system(_, ENOENT) = cause { true } else { false }
    }

    static func damaged(_ path: String, _ error: CodecError) -> StorageError {
        let cause = Cause.damaged(offset: error.offset, problem: "\(error.what): \(error.problem)")
        return StorageError(path: path, cause: cause, remedy: keepAndReseed)
    }

    static func damaged(_ path: String, offset: Int, _ problem: String) -> StorageError {
        StorageError(path: path, cause: .damaged(offset: offset, problem: problem), remedy: keepAndReseed)
    }

    static func inconsistent(_ path: String, _ problem: String, remedy: String = keepAndReseed) -> StorageError {
        StorageError(path: path, cause: .inconsistent(problem), remedy: remedy)
    }

    static func held(_ directory: String, by process: String?) -> StorageError {
        StorageError(
            path: directory, cause: .held(by: process),
            remedy: "end that server first, or correct dataDir and dataLogDir: a directory has one server")
    }

    package var description: String {
        switch cause {
        case .held(let process):
            "\(path): another server has this directory (\(process.map { "process \($0)" } ?? "which one can't be told")); \(remedy)"
        case .system(let operation, let code):
            "\(path): \(operation) failed: \(String(cString: strerror(code))) (errno \(code)); \(remedy)"
        case .damaged(let offset, let problem): "\(path): damaged at offset \(offset): \(problem); \(remedy)"
        case .inconsistent(let problem), .cutShort(let problem): "\(path): \(problem); \(remedy)"
        }
    }
}
