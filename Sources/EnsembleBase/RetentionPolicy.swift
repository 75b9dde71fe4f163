/// Which backups an archive keeps. A backup stays if either rule wants it; rule S6 keeps the newest verified one
/// whatever the policy says.
package struct RetentionPolicy: Hashable, Sendable, Codable {
    /// The newest this many stay. At least 1.
    package let keepLast: Int
    /// Backups younger than this stay too. Nil: only `keepLast` counts.
    package let keepFor: Duration?

    package init(keepLast: Int, keepFor: Duration? = nil) throws(RetentionPolicyError) {
        guard keepLast >= 1 else { throw .keepsNothing(keepLast: keepLast) }
        if let keepFor, keepFor <= .zero { throw .emptyAge }
        self.keepLast = keepLast
        self.keepFor = keepFor
    }
}

/// Why a retention policy is refused.
package enum RetentionPolicyError: Error, Hashable, CustomStringConvertible {
    case keepsNothing(keepLast: Int)
    case emptyAge

    package var description: String {
        switch self {
        case .keepsNothing(let count): "keepLast \(count) would keep no backup; use 1 or more"
        case .emptyAge: "keepFor must be longer than nothing; use for example 7d, or leave it out"
        }
    }
}
