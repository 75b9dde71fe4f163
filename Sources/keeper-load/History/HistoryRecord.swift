/// One request of a recorded history.
struct HistoryRecord: Codable, Sendable {
    enum Action: String, Codable, Sendable {
        /// A node of its own, made once: present if acknowledged.
        case create
        /// The client's register, overwritten with growing numbers: never behind the last acknowledged one.
        case set
        /// Of any client's register.
        case get
    }

    enum Outcome: String, Codable, Sendable {
        /// Acknowledged.
        case ok
        /// Known not to have happened.
        case fail
        /// Sent, and no answer came: may have happened.
        case unknown
    }

    var client: Int
    /// The session that the request was sent in.
    var session: Int64
    var action: Action
    /// The path.
    var key: String
    /// What was written, or read; nil for a read that failed.
    var value: Int?
    /// Nanoseconds of the monotonic clock.
    var start: Int64
    var end: Int64
    var outcome: Outcome
    /// Of the write, or of the last change of what was read; nil unless ok.
    var zxid: Int64?
    var error: String?
}
