import Glibc

/// Operations on the system's directories and whole files, by path: for those who always mean the system, as the daemon
/// does. Storage itself goes through `FileSystem`.
package enum Directory {
    package static func names(_ path: String) throws(StorageError) -> [String] { try SystemFiles.shared.names(path) }

    /// Leaves the reason in `errno` if it says no.
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes the directory and those above it, each durably.
    package static func create(_ path: String) throws(StorageError) { try SystemFiles.shared.createDirectory(path) }

    /// Not durable before the directories are synced.
    package static func move(_ source: String, to target: String) throws(StorageError) {
        try SystemFiles.shared.move(source, to: target)
    }

    /// Not durable before the directory is synced. A file that isn't there is no error.
    package static func remove(file path: String) throws(StorageError) { try SystemFiles.shared.remove(path) }

    /// Replaces a small file as a whole: at every moment, also after a crash, it holds the old content or the new.
    ///
    /// - Parameter isPrivate: nobody but the owner may read it.
    package static func replace(file path: String, with bytes: [UInt8], isPrivate: Bool = false) throws(StorageError) {
        try SystemFiles.shared.replace(path, with: bytes, isPrivate ? .replacingPrivately : .replacing)
    }

    /// The content of a small file; nil if there is none. S10: one that can't be reached is an error, not absent.
    package static func content(of path: String) throws(StorageError) -> [UInt8]? {
        try SystemFiles.shared.content(of: path)
    }

    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
