/// A ZooKeeper transaction id: the epoch in the high 32 bits, a counter in the low 32 (reference/zookeeper.md, 3.3).
package struct Zxid: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: Int64

    package init(rawValue: Int64) { self.rawValue = rawValue }
    package init(epoch: Int64, counter: UInt32) { rawValue = epoch << 32 | Int64(counter) }

    package static let zero = Zxid(rawValue: 0)
    /// What a member without a usable history advertises: its vote doesn't count (rule S2).
    package static let none = Zxid(rawValue: -1)

    package var epoch: Int64 { rawValue >> 32 }
    package var counter: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    /// The next zxid of the same epoch. The counter must not be at its end: a leader steps down first (ZOOKEEPER-1277).
    package var next: Zxid { Zxid(rawValue: rawValue + 1) }

    /// Whether an entry of this zxid may stand in a history right behind one of `previous`: the next number (a server
    /// that stands alone runs on into the next epoch), or the first of a later epoch. One definition for what is
    /// proposed, logged and replayed.
    ///
    /// It is necessary, not sufficient: nothing in a zxid says how far an earlier epoch went (`isNext`).
    package func follows(_ previous: Zxid) -> Bool {
        isNext(after: previous) || epoch > previous.epoch && counter == 1
    }

    /// Whether no transaction can be between the two.
    package func isNext(after previous: Zxid) -> Bool { rawValue == previous.rawValue + 1 }

    package static func < (a: Zxid, b: Zxid) -> Bool { a.rawValue < b.rawValue }
    package var description: String { "0x" + String(UInt64(bitPattern: rawValue), radix: 16) }
}

/// A session's 64-bit id. The high byte names the server that made it.
package typealias SessionID = Int64

/// A member's `myid`: 0...254 here (reference/zookeeper.md, 1.2: the high byte of a session id).
package typealias ServerID = Int64
