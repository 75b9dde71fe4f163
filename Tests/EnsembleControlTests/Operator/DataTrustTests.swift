import EnsembleBase
import EnsembleControl
import Testing

/// S2: which directories may be believed.
@Suite struct DataTrustTests {
    private func judge(
        _ condition: DataDirectoryCondition, entry: LedgerEntry?, blank: Bool = false, backups: Int = 0, listed: Bool = true,
        hasRun: Bool? = nil
    ) -> DataTrust {
        var ledger = Ledger(cluster: "c")
        if let entry { ledger.set(entry) }
        ledger.hasRun = hasRun
        var archive = BackupObservation()
        archive.isListed = listed
        archive.count = backups
        return DataTrust.judge(condition, entry: entry, ledger: ledger, isAllBlank: blank, archive: archive)
    }

    private let voter = LedgerEntry(id: 1, standing: .voter, zxid: 5 << 32 | 7, acceptedEpoch: 5, identity: "a")

    private func holding(
        _ zxid: Int64, epoch: Int64 = 5, current: Int64? = nil, identity: String? = "a"
    ) -> DataDirectoryCondition {
        .holding(
            DataDirectoryContents(
                identity: identity, zxid: zxid, acceptedEpoch: epoch, currentEpoch: current ?? epoch, recovering: false))
    }

    @Test func whatTheLedgerKnowsMustBeThere() {
        #expect(judge(holding(5 << 32 | 7), entry: voter) == .trusted)
        #expect(judge(holding(5 << 32 | 6), entry: voter) == .untrusted(.olderThanLedger(expected: 5 << 32 | 7, found: 5 << 32 | 6)))
        #expect(judge(holding(5 << 32 | 9, identity: "b"), entry: voter) == .untrusted(.otherIdentity(expected: "a", found: "b")))
        #expect(judge(.empty, entry: voter) == .untrusted(.emptyButWasNot))
        #expect(judge(.missing, entry: voter, blank: true) == .untrusted(.missing))
    }

    /// S2: while a member is reseeded only a marked directory, or the seed itself once it has synced, is started.
    @Test func aReseededMembersDirectoryIsItsSeed() {
        let entry = LedgerEntry(id: 1, standing: .recovering, zxid: 5 << 32 | 7, acceptedEpoch: 5, identity: "seed")
        #expect(judge(holding(5 << 32 | 9, identity: "seed"), entry: entry) == .recovering)
        #expect(
            judge(holding(5 << 32 | 9, identity: "a"), entry: entry) == .untrusted(.otherIdentity(expected: "seed", found: "a")))
        #expect(judge(.missing, entry: entry) == .recovering)
        // The mark of another seed is not this one's, nor is that directory.
        var earlier = DataDirectoryContents(
            identity: "earlier", zxid: 5 << 32 | 9, acceptedEpoch: 5, currentEpoch: 5, recovering: true)
        #expect(
            judge(.holding(earlier), entry: entry) == .untrusted(.otherIdentity(expected: "seed", found: "earlier")))
        earlier.identity = "seed"
        #expect(judge(.holding(earlier), entry: entry) == .recovering)
    }

    /// S2: a member may vote from its first start on. Only where nothing is anywhere has that start come to nothing.
    @Test func aFirstStartThatLeftNothingIsMadeAgain() {
        let entry = LedgerEntry(id: 1, standing: .voter, zxid: 0, acceptedEpoch: 0, identity: "a")
        #expect(judge(.missing, entry: entry, blank: true) == .bootstrap)
        #expect(judge(.missing, entry: entry, blank: false) == .untrusted(.missing))
        #expect(judge(.missing, entry: entry, blank: true, backups: 1) == .untrusted(.missing))
        // Its servers have run, and nothing was heard of them: they may have served.
        #expect(judge(.missing, entry: entry, blank: true, hasRun: true) == .untrusted(.missing))
    }

    /// S2: a directory that says by itself that no server has begun in it is no loss, whatever the others have: the daemon died
    /// before the launch, or a resolver takes its time.
    @Test func aMemberThatHasNotBegunMayStillBegin() {
        var entry = LedgerEntry(id: 1, standing: .voter, zxid: 0, acceptedEpoch: 0, identity: "a")
        #expect(judge(.unused(identity: "a"), entry: entry, hasRun: true) == .bootstrap)
        // A directory beneath a mount was prepared once as well, as another.
        #expect(judge(.unused(identity: "b"), entry: entry, hasRun: true) == .untrusted(.emptyButWasNot))
        #expect(judge(.unused(identity: nil), entry: entry, hasRun: true) == .untrusted(.emptyButWasNot))
        entry.acceptedEpoch = 1
        #expect(judge(.unused(identity: "a"), entry: entry, hasRun: true) == .untrusted(.emptyButWasNot))
        entry.acceptedEpoch = 0
        entry.mounts = []
        #expect(judge(.unused(identity: "a"), entry: entry, hasRun: true) == .untrusted(.emptyButWasNot))
        entry = LedgerEntry(id: 1, standing: .recovering, zxid: 0, acceptedEpoch: 0, identity: "a")
        #expect(judge(.unused(identity: "a"), entry: entry) == .recovering)
    }

    @Test func anEpochBelowTheLedgersIsALostPromise() {
        var entry = voter
        entry.acceptedEpoch = 6
        #expect(judge(holding(5 << 32 | 7), entry: entry) == .untrusted(.epochBelowLedger(expected: 6, found: 5)))
    }

    /// S2: the log is all there, and its vote would be weaker than what it has acknowledged.
    @Test func aCurrentEpochBelowTheOneItServedInIsARollBack() {
        var entry = voter
        #expect(judge(holding(5 << 32 | 7, current: 4), entry: entry) == .trusted, "one that was never seen serving")
        entry.servedEpoch = 5
        #expect(judge(holding(5 << 32 | 7), entry: entry) == .trusted)
        #expect(
            judge(holding(5 << 32 | 9, current: 4), entry: entry) == .untrusted(.currentEpochBelowLedger(expected: 5, found: 4)))
    }

    @Test func onlyAClusterThatNeverRanIsBootstrapped() {
        #expect(judge(.missing, entry: nil, blank: true) == .bootstrap)
        #expect(judge(.missing, entry: nil, blank: false) == .untrusted(.missing))
        guard case .unknown = judge(.missing, entry: nil, blank: true, backups: 3) else {
            Issue.record("backups of a cluster that never ran must hold it")
            return
        }
        guard case .unknown = judge(.missing, entry: nil, blank: true, listed: false) else {
            Issue.record("an archive that was not listed is unknown, not empty")
            return
        }
    }

    /// S10: a hold names what is missing, so that a person can mend it.
    @Test func anUnreadableArchiveIsHeldWithItsCause() {
        var archive = BackupObservation()
        archive.lastFailure = "/srv/archive: permission denied"
        let trust = DataTrust.judge(
            .missing, entry: nil, ledger: Ledger(cluster: "c"), isAllBlank: true, archive: archive)
        #expect(trust == .unknown("the archive can't be read: /srv/archive: permission denied"))
    }

    /// S2: its promises are waited out by a reseed that begins anew (issue 9, B14).
    @Test func aMarkedDirectoryWithoutALedgerIsNotAdopted() {
        let marked = DataDirectoryContents(identity: "a", zxid: 3, acceptedEpoch: 1, currentEpoch: 1, recovering: true)
        #expect(judge(.holding(marked), entry: nil) == .untrusted(.reseedInterrupted))
    }

    @Test func dataWithoutALedgerIsAdopted() {
        guard case .adopted = judge(holding(3), entry: nil) else {
            Issue.record("data without an entry is taken at its word")
            return
        }
    }

    @Test func whatCannotBeReadIsUnknown() {
        guard case .unknown = judge(.unreadable("I/O error"), entry: voter) else {
            Issue.record("an unreadable directory is neither trusted nor replaced")
            return
        }
    }
}
