import EnsembleBase
import NIOConcurrencyHelpers

/// The daemon's lanes: whatever blocks is done on one of them, and on the one of the thing that it may hang on.
package final class HostLanes: Sendable {
    /// The state directory: ledger, intents, records of processes.
    package let state: HostLane
    /// Copies to and from the archive, verification, pruning: hours of work.
    package let archive: HostLane
    /// What the archive holds.
    package let catalog: HostLane
    /// The manifest's file, which may lie elsewhere than the state directory: one that hangs keeps no ledger waiting (S13).
    package let manifest: HostLane
    /// systemd's answer to why the daemon is to end.
    package let bus: HostLane
    /// The host's name service (nsswitch.conf(5)): who belongs to a group.
    package let names: HostLane
    private let members = NIOLockedValueBox<[Int: HostLane]>([:])
    private let now: @Sendable () -> Instant

    package init(now: @escaping @Sendable () -> Instant) {
        self.now = now
        state = HostLane("state directory", now: now)
        archive = HostLane("archive", now: now)
        catalog = HostLane("catalog", limit: 4, now: now)
        manifest = HostLane("manifest", limit: 4, now: now)
        bus = HostLane("systemd", now: now)
        names = HostLane("name service", now: now)
    }

    /// The directories of a member, data and log.
    package func member(_ id: Int) -> HostLane {
        members.withLockedValue { members in
            if let lane = members[id] { return lane }
            let lane = HostLane("member \(id)", now: now)
            members[id] = lane
            return lane
        }
    }

    /// What should be done in a moment, and isn't; the state directory first.
    package var hanging: [HostLane.Occupation] {
        all.compactMap(\.occupation).filter { !$0.isLong && $0.lasting > .seconds(5) }
    }

    package func close() { for lane in all { lane.close() } }

    private var all: [HostLane] {
        let members = members.withLockedValue { $0 }
        return [state, archive, catalog, manifest, bus, names] + members.keys.sorted().compactMap { members[$0] }
    }
}
