import KeeperCore
import Logging

extension KeeperNote {
    /// How the server's log says it.
    var sentence: String {
        switch self {
        case .looking(let round): "looking for a leader, round \(round)"
        case .elected(let leader, let epoch): "\(leader) was elected, its last epoch being \(epoch)"
        case .following(let leader, let epoch): "following \(leader) in epoch \(epoch)"
        case .leading(let epoch): "leading in epoch \(epoch)"
        case .standalone: "serving alone"
        case .roleEnded(let reason, _): "role ended: \(reason)"
        case .learnerSynced(let server, let how): "\(server) is synchronised (\(how))"
        case .learnerDropped(let server, let reason): "\(server) was dropped: \(reason)"
        case .sessionExpired(let session): "session 0x\(String(UInt64(bitPattern: session), radix: 16)) expired"
        case .digestMismatch(let zxid, let expected, let actual):
            "the tree differs from the leader's at \(zxid): digest \(String(actual, radix: 16)) instead of \(String(expected, radix: 16))"
        case .digestWronglyAnnounced(let zxid): "the digest announced with \(zxid) was wrong; the tree agrees with the others"
        case .doubted(let leader, let zxid):
            """
            this tree and that of \(leader), the leader, have been different since \(zxid) or before: one of them lacks or \
            invents something. Leaving; with a quorum that agrees with \(leader) this member takes the tree from it, and \
            otherwise the others elect without \(leader). Files that are replaced are set aside: keep them, and report this
            """
        case .keptOut(let server, let reason): "\(server) is kept out: \(reason)"
        case .recoveringWaits:
            """
            recovering: neither voting nor acknowledging until synchronised with a leader (rule S2). A member whose data was \
            lost waits like this for the others, which must be a quorum without it. The members of an ensemble that never \
            had any data would wait for each other for ever: say so once, on each of them and before its first start, with \
            `ensemble-server --initialize` and its configuration file
            """
        case .recovered(let epoch): "recovered: synchronised with the leader of epoch \(epoch), voting again"
        case .clientRefused(let reason): "client refused: \(reason)"
        }
    }

    var level: Logger.Level {
        switch self {
        case .digestMismatch, .doubted, .keptOut: .error
        case .roleEnded, .learnerDropped, .recoveringWaits, .digestWronglyAnnounced: .warning
        case .sessionExpired, .clientRefused: .debug
        case .looking, .elected, .following, .leading, .standalone, .learnerSynced, .recovered: .info
        }
    }
}

extension ServerStatistics {
    func count(_ note: KeeperNote) {
        switch note {
        case .looking: elections += 1
        case .digestMismatch: digestMismatches += 1
        case .learnerSynced(_, let how) where how == "SNAP": snapshotsSentToLearners += 1
        case .learnerSynced: diffsSentToLearners += 1
        default: break
        }
    }
}
