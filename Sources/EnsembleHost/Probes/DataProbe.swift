import EnsembleBase
import EnsembleControl
import Glibc
import KeeperCore
import KeeperStorage

/// Looks at a member's data directory: what is there, whose it is, and whether it is whole.
package enum DataProbe {
    package static let identityName = "ensembled.identity"

    /// Blocks; for a thread of a pool.
    package static func inspect(_ member: RenderedMember, _ depth: InspectionDepth) -> DataDirectoryCondition {
        let layout = DataLayout(dataDir: member.dataDirectory, dataLogDir: member.logDirectory)
        // S10: a log directory that can't be looked at is not one without logs.
        errno = 0
        if !Directory.exists(layout.logDirectory), errno != ENOENT {
            return .unreadable("\(layout.logDirectory): \(String(cString: strerror(errno)))")
        }
        guard Directory.exists(layout.snapshotDirectory) else {
            if errno != ENOENT { return .unreadable("\(layout.snapshotDirectory): \(String(cString: strerror(errno)))") }
            guard Directory.exists(member.dataDirectory) else { return .missing }
            return blank(member, layout)
        }
        do throws(StorageError) {
            let (snapshots, logs) = (try layout.snapshots(), try layout.logs())
            guard !snapshots.isEmpty || !logs.isEmpty else { return blank(member, layout) }
            func holding(_ end: Zxid, _ accepted: Int64, _ current: Int64) throws(StorageError) -> DataDirectoryCondition {
                .holding(
                    DataDirectoryContents(
                        identity: try identity(of: member), zxid: end.rawValue, acceptedEpoch: accepted,
                        currentEpoch: current, recovering: try layout.recoveringMark.isSet))
            }
            if depth == .seals, let glance = try DataGlance.look(at: layout) {
                return try holding(glance.endZxid, glance.acceptedEpoch, glance.currentEpoch)
            }
            let report = try KeeperStorage.Verification.verify(layout)
            return try holding(report.endZxid, report.acceptedEpoch, report.currentEpoch)
        } catch {
            switch error.cause {
            case .system, .held: return .unreadable(error.description)
            case .damaged, .inconsistent, .cutShort: return .damaged(error.description)
            }
        }
    }

    /// Neither snapshots nor logs: has a server begun here? One that did and lost them has promised an epoch, or abstains.
    private static func blank(_ member: RenderedMember, _ layout: DataLayout) -> DataDirectoryCondition {
        do throws(StorageError) {
            let (promised, abstains) = (try layout.epochs.load(lastZxid: .zero).accepted, try layout.recoveringMark.isSet)
            let mayBegin = try layout.initializeFile.exists
            guard mayBegin, promised == 0, !abstains else { return .empty }
            return .unused(identity: try identity(of: member))
        } catch {
            switch error.cause {
            case .system, .held: return .unreadable(error.description)
            case .damaged, .inconsistent, .cutShort: return .empty
            }
        }
    }

    /// S2: whether all of what was seen there is there. Blocks.
    package static func finds(_ floor: DataFloor, in member: RenderedMember) -> Bool {
        guard case .holding(let contents) = inspect(member, .seals) else { return false }
        return floor.isMet(
            zxid: contents.zxid, acceptedEpoch: contents.acceptedEpoch, currentEpoch: contents.currentEpoch,
            isMarked: contents.recovering)
    }

    /// - Throws: when it can't be told (S10): a directory without identity is reseeded, one that can't be read is not.
    package static func identity(of member: RenderedMember) throws(StorageError) -> String? {
        guard let bytes = try Directory.content(of: member.dataDirectory + "/" + identityName) else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init)
    }

    /// What a cheap look at a running member's directory finds.
    package enum Glance: Sendable, Hashable {
        case there
        /// Gone, or another one.
        case vanished(UntrustedReason)
        /// It can't be told (S10).
        case untold
    }

    package static func glance(at member: RenderedMember, expected: String?) -> Glance {
        // A server whose log directory is gone goes on to acknowledge into a file that nobody will find again.
        for directory in Set([member.dataDirectory, member.logDirectory]).sorted() {
            errno = 0
            guard Directory.exists(directory + "/version-2") else { return errno == ENOENT ? .vanished(.missing) : .untold }
        }
        guard let expected else { return .there }
        do throws(StorageError) {
            let found = try identity(of: member)
            return found == expected ? .there : .vanished(.otherIdentity(expected: expected, found: found))
        } catch {
            return .untold
        }
    }
}
