import EnsembleBase

/// What lies between the manifest that is in force and the one that a reload brings.
package struct ManifestChange: Hashable, Sendable {
    package struct Refusal: Hashable, Sendable, CustomStringConvertible {
        /// Path in the manifest: `members[3]`.
        package var path: String
        package var reason: String
        package var remedy: String

        package var description: String { "\(path): \(reason); \(remedy)" }
    }

    /// Why the new manifest must not be taken while the cluster lives. When not empty nothing of it is applied.
    package var refusals: [Refusal]
    /// Ids, ascending, of members whose server must be restarted to notice: one at a time, by the rolling plan.
    package var restarts: [Int]
    /// Top-level parts of the manifest that take effect at once: `backups`, `restart`, …
    package var live: [String]

    package var isEmpty: Bool { refusals.isEmpty && restarts.isEmpty && live.isEmpty }

    package init(from old: Manifest, to new: Manifest, on layout: HostLayout) {
        refusals = Self.identityRefusals(old, new) + Self.membershipRefusals(old, new, on: layout)
        let before = old.rendered(on: layout)
        restarts = new.rendered(on: layout).compactMap { member in
            before.first { $0.id == member.id }.flatMap { $0.fingerprint == member.fingerprint ? nil : member.id }
        }
        var live: [String] = []
        if old.backups != new.backups { live.append("backups") }
        if old.restart != new.restart { live.append("restart") }
        if old.reseed != new.reseed { live.append("reseed") }
        if old.limits.stopTimeout != new.limits.stopTimeout { live.append("limits.stopTimeout") }
        if old.limits.frozenTimeout != new.limits.frozenTimeout { live.append("limits.frozenTimeout") }
        if old.operatorAccess != new.operatorAccess { live.append("operator") }
        self.live = live
    }

    private static func identityRefusals(_ old: Manifest, _ new: Manifest) -> [Refusal] {
        var refusals: [Refusal] = []
        if old.cluster != new.cluster {
            refusals.append(
                Refusal(
                    path: "cluster", reason: "the name of a living cluster cannot change: it was \(old.cluster)",
                    remedy: "keep the name, or declare a new cluster and restore a backup into it"))
        }
        if old.engine != new.engine {
            refusals.append(
                Refusal(
                    path: "engine",
                    reason: "changing the engine of a living cluster from \(old.engine.rawValue) is not built yet",
                    remedy: "stop the daemon and its members, change the engine, and start again on the same data"))
        }
        return refusals
    }

    private static func membershipRefusals(_ old: Manifest, _ new: Manifest, on layout: HostLayout) -> [Refusal] {
        var refusals: [Refusal] = []
        for (index, member) in new.members.enumerated() where old.member(member.id) == nil {
            refusals.append(
                Refusal(
                    path: "members[\(index)]",
                    reason: "adding member \(member.id) to a living cluster is not built yet (it needs a reconfiguration)",
                    remedy: "keep the members as they are"))
        }
        for member in old.members where new.member(member.id) == nil {
            refusals.append(
                Refusal(
                    path: "members",
                    reason: "removing member \(member.id) from a living cluster is not built yet (it needs a reconfiguration)",
                    remedy: "keep the members as they are"))
        }
        let before = old.rendered(on: layout)
        let after = new.rendered(on: layout)
        for (index, member) in new.members.enumerated() {
            guard let was = before.first(where: { $0.id == member.id }), let wanted = after.first(where: { $0.id == member.id })
            else { continue }
            refusals += moveRefusals(was, wanted, path: "members[\(index)]")
        }
        return refusals
    }

    /// What peers of a living member must agree on, and where its data is, stays.
    private static func moveRefusals(_ old: RenderedMember, _ new: RenderedMember, path: String) -> [Refusal] {
        var refusals: [Refusal] = []
        let (was, wanted) = (old.declaration, new.declaration)
        if (was.host, was.quorumPort, was.electionPort) != (wanted.host, wanted.quorumPort, wanted.electionPort) {
            // S4: while peers disagree on where a member is, restarting them one at a time can lose the quorum.
            refusals.append(
                Refusal(
                    path: path,
                    reason: "moving member \(new.id) to another address while the cluster lives is not built yet",
                    remedy: "keep host \(was.host), quorumPort \(was.quorumPort) and electionPort \(was.electionPort)"))
        }
        if old.dataDirectory != new.dataDirectory || old.logDirectory != new.logDirectory {
            // S2: started on an empty directory the member would have forgotten what it acknowledged.
            refusals.append(
                Refusal(
                    path: path,
                    reason: "the files of member \(new.id) cannot move while the cluster lives",
                    remedy: "keep \(old.dataDirectory)"
                        + (old.logDirectory == old.dataDirectory ? "" : " and \(old.logDirectory)")))
        }
        return refusals
    }
}
