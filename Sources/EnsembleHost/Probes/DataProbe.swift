import EnsembleBase
import EnsembleControl
import Glibc
import KeeperCore
import KeeperStorage

/// Looks at a member's data directory: what is there, whose it is, and whether it is whole.
package enum DataProbe {
    package static let identityName = "ensembled.identity"

    /// Blocks; may need memory by the size of the tree (`replay`).
    package static func inspect(_ member: RenderedMember, _ depth: InspectionDepth) -> DataDirectoryCondition {
        glimpse(of: member, depth) ?? replay(member)
    }

    /// What can be told without reading all of it; nil: nothing. Blocks.
    static func glimpse(of member: RenderedMember, _ depth: InspectionDepth) -> DataDirectoryCondition? {
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
            guard depth == .seals, let glance = try DataGlance.look(at: layout) else { return nil }
            return try holding(member, layout, glance.endZxid, accepted: glance.acceptedEpoch, current: glance.currentEpoch)
        } catch {
            return condition(error)
        }
    }

    /// Reads everything and builds the tree: a worker's work. Blocks.
    static func replay(_ member: RenderedMember) -> DataDirectoryCondition {
        let layout = DataLayout(dataDir: member.dataDirectory, dataLogDir: member.logDirectory)
        do throws(StorageError) {
            let report = try KeeperStorage.Verification.verify(layout)
            return try holding(member, layout, report.endZxid, accepted: report.acceptedEpoch, current: report.currentEpoch)
        } catch {
            return condition(error)
        }
    }

    private static func holding(
        _ member: RenderedMember, _ layout: DataLayout, _ end: Zxid, accepted: Int64, current: Int64
    ) throws(StorageError) -> DataDirectoryCondition {
        .holding(
            DataDirectoryContents(
                identity: try identity(of: member), zxid: end.rawValue, acceptedEpoch: accepted, currentEpoch: current,
                recovering: try layout.recoveringMark.isSet))
    }

    private static func condition(_ error: StorageError) -> DataDirectoryCondition {
        switch error.cause {
        case .system, .held: .unreadable(error.description)
        case .damaged, .inconsistent, .cutShort: .damaged(error.description)
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

extension DataDirectoryCondition {
    /// S2: whether all of what was seen there is there.
    package func meets(_ floor: DataFloor) -> Bool {
        guard case .holding(let contents) = self else { return false }
        return floor.isMet(
            zxid: contents.zxid, acceptedEpoch: contents.acceptedEpoch, currentEpoch: contents.currentEpoch,
            isMarked: contents.recovering)
    }
}
