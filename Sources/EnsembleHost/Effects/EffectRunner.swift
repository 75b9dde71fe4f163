import CLinux
import EnsembleBackup
import EnsembleBase
import EnsembleControl
import Glibc
import KeeperStorage
import NIOConcurrencyHelpers

/// The hands: one switch over the reconciler's actions, and no effect anywhere else.
///
/// What must be done before the next action (the two files, signals) is done before `perform` returns; all else is handed
/// to `background`, waits its turn on the lane of what it needs, and its outcome comes back as an event.
package final class EffectRunner: Sendable {
    package typealias Background = @Sendable (@escaping @Sendable () async -> Void) -> Void

    struct Servers {
        var records: [Int: ServerRecord] = [:]
    }

    let state: StateDirectory
    package let lanes: HostLanes
    package let worker = Worker()
    let emit: @Sendable (OperatorEvent) -> Void
    let clock: HostClock
    package let credential: EnsembleCredential
    package let link: EnsembleLink
    let desired: NIOLockedValueBox<DesiredCluster>
    /// The ledger as it was made durable last.
    private let ledger: NIOLockedValueBox<Ledger>
    let servers: NIOLockedValueBox<Servers>
    package let progress = EffectProgress()
    private let listing = NIOLockedValueBox<[ArchivedBackup]?>(nil)
    let isEnding = NIOLockedValueBox(false)
    private let claims = DirectoryClaims()
    /// Nil: it was never listed.
    private let archivePlace: NIOLockedValueBox<ArchivePlace?>

    package init(
        state: StateDirectory, desired: DesiredCluster, ledger: Ledger, archivePlace: ArchivePlace?, clock: HostClock,
        emit: @escaping @Sendable (OperatorEvent) -> Void
    ) {
        self.state = state
        self.clock = clock
        self.ledger = NIOLockedValueBox(ledger)
        self.archivePlace = NIOLockedValueBox(archivePlace)
        lanes = HostLanes(now: { clock.now() })
        self.emit = emit
        let (cluster, servers) = (NIOLockedValueBox(desired), NIOLockedValueBox(Servers()))
        (self.desired, self.servers) = (cluster, servers)
        let lanes = lanes
        credential = EnsembleCredential(state, lane: lanes.state)
        link = EnsembleLink(
            label: "ensembled \(getpid()) of \(desired.manifest.cluster)", credential: credential,
            search: { try await EnsembleCredential.find(in: cluster.withLockedValue { $0.members }, lanes) },
            spread: { try await EnsembleCredential.spread($0, to: cluster.withLockedValue { $0.members }, lanes) },
            servers: {
                let records = servers.withLockedValue { $0.records }
                return cluster.withLockedValue { $0.members }.map { records[$0.id]?.client ?? $0.clientAddress }
            })
    }

    package var cluster: DesiredCluster { desired.withLockedValue { $0 } }
    package func change(to new: DesiredCluster) { desired.withLockedValue { $0 = new } }

    /// - Throws: when the ledger or the intents can't be made durable: then nothing may go on (S9).
    package func perform(_ action: OperatorAction, background: @escaping Background) async throws {
        switch action {
        case .saveLedger(let ledger):
            try await lanes.state.run("writing the ledger") { try self.state.save(ledger) }
            self.ledger.withLockedValue { $0 = ledger }
        case .saveIntents(let intents):
            try await lanes.state.run("writing what is intended") { try self.state.save(intents) }
        case .saveHistory(let history):
            try await lanes.state.run("writing what was asked for") { try self.state.save(history) }
        case .inspectData(let id, let depth):
            inspect(id, "a look at its files", isLong: depth == .replay, background) { [self] member in
                let found = try look(at: member, depth)
                if found.isBlank { try requireMounted(member) }
                return found
            }
        case .prepare(let id, let identity):
            inspect(id, "making its directory", background) { member in
                try Self.prepare(member, as: identity)
                return DataProbe.inspect(member, .seals)
            }
        case .launch(let id, let mode, let identity, let floor):
            background { [self] in await launch(id, mode, identity: identity, floor: floor, background) }
        case .terminate(let id): signal(id, SIGTERM)
        case .kill(let id): signal(id, SIGKILL)
        case .quarantine, .seed, .capture, .verify, .checkRoom, .prune:
            startFileEffect(action, background)
        case .acquireLock(let token):
            answer(token, background) { [link] in
                try await link.acquireOrProve()
                return .done
            }
        case .releaseLock:
            background { [link] in await link.release() }
        case .writeBarrier(let token):
            answer(token, background) { [link] in .barrier(zxid: try await link.writeBarrier()) }
        case .answer, .note, .finish:
            preconditionFailure("the shell keeps these to itself")
        }
    }

    private func inspect(
        _ id: MemberID, _ what: String, isLong: Bool = false, _ background: Background,
        _ body: @escaping @Sendable (RenderedMember) throws -> DataDirectoryCondition
    ) {
        guard let member = cluster.member(id) else { return }
        background { [self] in
            do {
                let found = try await lanes.member(id).run(what, isLong: isLong) { [self] in
                    try requireOurs(member)
                    return try body(member)
                }
                emit(.dataInspected(id, found))
            } catch {
                emit(.dataInspected(id, .unreadable("\(error)")))
            }
        }
    }

    /// What is in a member's directories: by a worker where it takes reading all of it. Blocks.
    func look(at member: RenderedMember, _ depth: InspectionDepth) throws -> DataDirectoryCondition {
        try DataProbe.glimpse(of: member, depth) ?? worker.run(ReplayMember(member: member), wanted)
    }

    /// S3: neither another daemon's, nor in use by a server that somebody started by hand. Blocks.
    func requireOurs(_ member: RenderedMember) throws {
        try claims.take([member.dataDirectory, member.logDirectory], of: member.id)
        guard let server = DirectoryUse.find([member.dataDirectory, member.logDirectory]) else { return }
        throw HostError(
            "the directory of member \(member.id)", "is in use: \(server)", remedy: "end that process; the member is looked at again by itself")
    }

    /// Before anything that runs is adopted. What can't be looked at is claimed when it can (`requireOurs`).
    ///
    /// - Throws: when another daemon has one of the members' directories.
    package func claimDirectories() async throws {
        for member in cluster.members {
            do {
                _ = try await lanes.member(member.id).run("a claim on its directories", within: .seconds(5)) {
                    try self.claims.take([member.dataDirectory, member.logDirectory], of: member.id)
                }
            } catch let error as HostError { throw error } catch {}
        }
    }

    /// S10: where a disk is not mounted that was, nothing is known of what is on it, and nothing is put in its place.
    func requireMounted(_ member: RenderedMember) throws {
        guard let point = MountTable.missing(of: ledger.withLockedValue { $0[member.id]?.mounts } ?? []) else { return }
        throw HostError(
            point, "nothing is mounted there, and the files of member \(member.id) were on what was", remedy: "mount it; it is looked at again by itself")
    }

    /// A member that was brought back, or could not be written before, gets its copy.
    func spreadCredential() async {
        guard let secret = try? await credential.knownSecret() else { return }
        try? await EnsembleCredential.spread(secret, to: cluster.members, lanes)
    }

    private func answer(
        _ token: EffectToken, _ background: Background, _ body: @escaping @Sendable () async throws -> EffectOutcome
    ) {
        background { [emit, progress] in
            do {
                emit(.effectFinished(token, try await body()))
            } catch {
                emit(.effectFinished(token, .failed("\(error)")))
            }
            progress.end(token)
        }
    }

    private func reporting(_ token: EffectToken) -> BackupProgress {
        var wanted = wanted
        wanted.report = { [progress, clock] done, total in progress.report(token, done: done, total: total, at: clock.now()) }
        return wanted
    }

    /// Nothing is, once the daemon ends.
    package var wanted: BackupProgress {
        BackupProgress(isCancelled: { [weak self] in self?.isEnding.withLockedValue { $0 } ?? true })
    }

    private func startFileEffect(_ action: OperatorAction, _ background: Background) {
        let (cluster, lanes, effects, now) = (cluster, lanes, effects, clock.wall())
        switch action {
        case .quarantine(let id, let reason, let token):
            guard let member = cluster.member(id) else { return }
            answer(token, background) {
                try await lanes.member(id).run("the move of its files to quarantine") { [self] in
                    try requireOurs(member)
                    try requireMounted(member)
                    try cluster.backups.quarantine(member, cause: reason, now: now)
                }
                return .done
            }
        case .seed(let id, let seed, let token):
            guard let member = cluster.member(id) else { return }
            let progress = reporting(token)
            answer(token, background) { [self] in
                do {
                    return .seeded(
                        try await lanes.member(id).run("its seed", isLong: true) { [self] in
                            try requireMounted(member)
                            // S3: what the worker writes stays claimed for as long as it lives, also when it hangs and its
                            // daemon does not live any more.
                            let held = try claims.take([member.dataDirectory, member.logDirectory], of: member.id)
                            let job = SeedMember(
                                effects: effects, member: member, seed: seed, reason: "reseed by ensembled", now: now)
                            return try worker.run(job, holding: held, progress)
                        })
                } catch {
                    // The backup may be why, and no longer count as verified.
                    await refreshBackups()
                    throw error
                }
            }
        case .capture(let id, let mode, let end, let token):
            guard let member = cluster.member(id) else { return }
            let progress = reporting(token)
            answer(token, background) { [worker] in
                .captured(
                    try await lanes.archive.run("a backup of member \(id)", isLong: true) {
                        try worker.run(
                            CaptureMember(effects: effects, member: member, mode: mode, end: end, now: now), progress)
                    })
            }
        case .verify(let backup, let token):
            let progress = reporting(token)
            answer(token, background) { [self] in
                await refreshBackups()
                let proof = try await lanes.archive.run("the verification of \(backup)", isLong: true) { [worker] in
                    Result { try worker.run(VerifyBackup(effects: effects, backup: backup, now: now), progress) }
                }
                // What it proved, or withdrew.
                await refreshBackups()
                _ = try proof.get()
                return .done
            }
        case .checkRoom(let backup, let token):
            answer(token, background) { [self] in
                try await checkRoom(for: backup)
                return .done
            }
        case .prune(let token):
            answer(token, background) { [self] in
                _ = try await lanes.archive.run("pruning") { [self] in
                    try worker.run(PruneArchive(effects: effects, now: now, dryRun: false), wanted)
                }
                await refreshBackups()
                return .done
            }
        case .inspectData, .prepare, .launch, .terminate, .kill, .saveLedger, .saveIntents, .saveHistory, .acquireLock, .releaseLock,
            .writeBarrier, .answer, .note, .finish:
            preconditionFailure("no effect on files")
        }
    }

    /// The archive as it was listed last; empty before the first time. Looking again may hang with its disk, which a
    /// status must not.
    package var backups: [ArchivedBackup] { listing.withLockedValue { $0 } ?? [] }
    package var hasListed: Bool { listing.withLockedValue { $0 } != nil }

    /// What a worker is told of the archive.
    package var effects: BackupEffects {
        var effects = cluster.backups
        let place = archivePlace.withLockedValue { $0 }
        if let place, place.path == effects.archivePath { effects.archiveMounts = place.mounts }
        return effects
    }

    package func refreshBackups() async {
        let effects = effects
        let look = try? await lanes.catalog.run("a look at it") { [self] in
            Result { try worker.run(ListBackups(effects: effects), wanted) }
        }
        guard let look else { return }
        listing.withLockedValue { $0 = (try? look.get().backups) ?? [] }
        emit(.backupsListed(effects.observation(of: look.map(\.backups))))
        guard case .success(let listed) = look else { return }
        await remember(listed.place)
    }

    /// For the next daemon as well, which may be started before the disk is mounted.
    private func remember(_ place: ArchivePlace) async {
        guard archivePlace.withLockedValue({ $0 }) != place else { return }
        archivePlace.withLockedValue { $0 = place }
        // Not written, it is written behind the next look by another daemon.
        try? await lanes.state.run("writing where the archive is") { [state] in try state.save(place) }
    }

    /// The daemon ends. Workers end at their next chunk, or are killed: the daemon does not outstay its stop for them. What
    /// they leave is nothing, or begun anew (S9). What hangs is left behind.
    package func end() {
        isEnding.withLockedValue { $0 = true }
        lanes.close()
    }
}

/// What the manifest in force comes to on this host.
package struct DesiredCluster: Sendable {
    package var manifest: Manifest
    package var layout: HostLayout
    package var members: [RenderedMember]
    package var backups: BackupEffects

    package init(manifest: Manifest, layout: HostLayout, clusterIdentity: String, version: String) {
        self.manifest = manifest
        self.layout = layout
        members = manifest.rendered(on: layout)
        backups = BackupEffects(
            cluster: manifest.cluster, clusterIdentity: clusterIdentity,
            archivePath: manifest.archiveDirectory(on: layout), quarantinePath: manifest.quarantineDirectory(on: layout),
            compressionLevel: manifest.backups?.compressionLevel ?? 3, retention: manifest.backups?.retention,
            version: version)
    }

    package func member(_ id: Int) -> RenderedMember? { members.first { $0.id == id } }
    package var fingerprints: [MemberFingerprint] {
        members.map { MemberFingerprint(member: $0.id, fingerprint: $0.fingerprint) }
    }
}

/// The host's two clocks.
package struct HostClock: Sendable {
    package init() {}

    package func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    package func wall() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
