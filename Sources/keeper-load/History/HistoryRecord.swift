/// One request of a recorded history.
struct HistoryRecord: Codable, Sendable {
    enum Action: String, Codable, Sendable, CaseIterable {
        /// A node of its own, made once: present if acknowledged and nobody asked to delete it.
        case create
        /// Of a node of its own, or of the client's ephemeral.
        case delete
        /// The client's register, overwritten with growing numbers: never behind the last acknowledged one.
        case set
        /// Compare-and-set of a register that all share, by version.
        case swap
        /// Of any client's register, a shared one, a node of its own, or an ephemeral.
        case get
        /// A sequential node: `key` is the name given, or what was asked if none was.
        case sequence
        /// The client's ephemeral, under the same path in each of its sessions.
        case ephemeral
        /// A get that left a watch, and when that fired. Recorded when it did, or when the session ended.
        case watch
        /// The session was ended by its client.
        case close
        /// The session was ended by the servers: from the sending of its last acknowledged write until the client was told.
        case expired

        var isWrite: Bool {
            switch self {
            case .create, .delete, .set, .swap, .sequence, .ephemeral: true
            case .get, .watch, .close, .expired: false
            }
        }
    }

    enum Outcome: String, Codable, Sendable {
        /// Acknowledged.
        case ok
        /// Known not to have happened.
        case fail
        /// Sent, and no answer came: may have happened, or may still.
        case unknown
    }

    var client: Int
    /// The session that the request was sent in.
    var session: Int64
    var action: Action
    /// The path.
    var key: String
    /// What was written, or read; nil for a read that failed or found no node.
    var value: Int?
    /// Nanoseconds of the monotonic clock.
    var start: Int64
    var end: Int64
    var outcome: Outcome
    /// Of the write, or of the last change of what was read; nil unless ok, and for a read that found no node.
    var zxid: Int64?
    var error: String?

    // What only some recorders or actions know.

    /// Of the node: as written, or as read.
    var version: Int32?
    /// The version that a swap asked for.
    var expected: Int32?
    /// The zxid in the reply's header, of an error too: how far the member that answered had come.
    var header: Int64?
    /// The session that an ephemeral which was read belongs to.
    var owner: Int64?
    /// The read followed a sync in the same session; `start` is then the sync's.
    var synced: Bool?
    /// When the watch fired.
    var fired: Int64?
    /// What the session was granted, in milliseconds; with `expired`.
    var timeout: Int64?
}
