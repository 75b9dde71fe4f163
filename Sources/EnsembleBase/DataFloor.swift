/// S2: what a data directory held when the daemon looked at it before a launch. A server that finds less has another
/// directory, or none: it was lost or rolled back in between, and its promises with it.
///
/// Passed on a command line as text: `0x500000012:6:5`, or `0x500000012:6:5:marked`.
package struct DataFloor: Hashable, Sendable, LosslessStringConvertible {
    /// The last transaction.
    package var zxid: Int64
    package var acceptedEpoch: Int64
    /// 0 where it counts for nobody: in a server that stands alone.
    package var currentEpoch: Int64
    /// It had the mark of a member that recovers: one without it would vote, from what may be older than its promises.
    package var isMarked: Bool

    package init(zxid: Int64, acceptedEpoch: Int64, currentEpoch: Int64 = 0, isMarked: Bool = false) {
        self.zxid = zxid
        self.acceptedEpoch = acceptedEpoch
        self.currentEpoch = currentEpoch
        self.isMarked = isMarked
    }

    /// nil for what is no floor.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3 || parts.count == 4 && parts[3] == "marked", parts[0].hasPrefix("0x"),
            let zxid = Int64(parts[0].dropFirst(2), radix: 16), let accepted = Int64(parts[1]), let current = Int64(parts[2]),
            zxid >= 0, accepted >= 0, current >= 0
        else { return nil }
        self.init(zxid: zxid, acceptedEpoch: accepted, currentEpoch: current, isMarked: parts.count == 4)
    }

    package var description: String {
        "0x\(String(zxid, radix: 16)):\(acceptedEpoch):\(currentEpoch)" + (isMarked ? ":marked" : "")
    }

    /// Whether data that ends at `zxid`, has promised `acceptedEpoch` and votes from `currentEpoch`, or doesn't vote because it
    /// is marked, is all of it. Who has a transaction of an epoch has promised that epoch.
    package func isMet(zxid: Int64, acceptedEpoch: Int64, currentEpoch: Int64, isMarked: Bool) -> Bool {
        zxid >= self.zxid && max(acceptedEpoch, zxid >> 32) >= self.acceptedEpoch && currentEpoch >= self.currentEpoch
            && (isMarked || !self.isMarked)
    }
}
