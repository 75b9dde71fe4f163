/// Why a backup operation stopped. Nothing half-done is ever listed as a backup or trusted as a data directory.
package struct BackupError: Error, Hashable, Codable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable, Codable {
        /// A system call failed: disk full, permission, I/O error.
        case inputOutput
        /// A rename would have to copy: the two places are on different file systems.
        case otherFileSystem
        /// Stored or source bytes are not what they must be.
        case damaged
        /// There is nothing to capture from, or no such backup.
        case missing
        /// The source changed under the capture more often than it was retried.
        case unstable
        /// Another operation holds the archive.
        case busy
        /// The request contradicts a safety rule or the archive's identity.
        case refused
        /// Made by a newer version, or with an option that is not built.
        case unsupported
        case cancelled
    }

    package var kind: Kind
    /// The file or directory that it is about.
    package var file: String
    package var problem: String
    /// What a person can do.
    package var remedy: String

    package init(_ kind: Kind, file: String, problem: String, remedy: String) {
        self.kind = kind
        self.file = file
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { "\(file): \(problem); \(remedy)" }
}
