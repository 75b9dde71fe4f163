import EnsembleBase
import EnsembleControl
import Testing

@Suite struct ManifestChangeTests {
    private let layout = HostLayout(stateDirectory: "/s", bundledServer: "/e")
    private let old = Manifest(
        cluster: "c",
        members: (1...3).map {
            MemberDeclaration(id: $0, host: "localhost", clientPort: 10 + $0, quorumPort: 20 + $0, electionPort: 30 + $0)
        })

    private func change(_ edit: (inout Manifest) -> Void) -> ManifestChange {
        var new = old
        edit(&new)
        return ManifestChange(from: old, to: new, on: layout)
    }

    @Test func nothing() { #expect(change { _ in }.isEmpty) }

    @Test func theOrderOfMembersIsNothing() { #expect(change { $0.members.reverse() }.isEmpty) }

    @Test func settingsRestartEveryone() {
        let change = change { $0.settings.tickTime = .seconds(1) }
        #expect(change.restarts == [1, 2, 3])
        #expect(change.refusals.isEmpty && change.live.isEmpty)
    }

    @Test func aClientPortRestartsOne() { #expect(change { $0.members[1].clientPort = 99 }.restarts == [2]) }

    @Test func policiesTakeEffectAtOnce() {
        let change = change {
            $0.restart.soak = .seconds(9)
            $0.reseed.automatic = false
            $0.limits.stopTimeout = .seconds(1)
            $0.operatorAccess.socketMode = 0o600
        }
        #expect(change.restarts.isEmpty && change.refusals.isEmpty)
        #expect(change.live == ["restart", "reseed", "limits.stopTimeout", "operator"])
    }

    @Test func identityIsKept() {
        let change = change {
            $0.cluster = "d"
            $0.engine = .apache
        }
        #expect(change.refusals.map(\.path) == ["cluster", "engine"])
    }

    /// S4: peers that disagree on who and where the members are cannot be restarted one at a time.
    @Test func membershipIsKept() {
        #expect(change { $0.members.removeLast() }.refusals.map(\.path) == ["members"])
        #expect(change { $0.members[2].id = 4 }.refusals.map(\.path) == ["members[2]", "members"])
        #expect(change { $0.members[0].quorumPort = 99 }.refusals.map(\.path) == ["members[0]"])
        #expect(change { $0.members[0].host = "127.0.0.2" }.refusals.map(\.path) == ["members[0]"])
    }

    /// S2: a member started on another directory has forgotten what it acknowledged.
    @Test func dataIsKept() {
        #expect(change { $0.dataDirectory = "/other" }.refusals.map(\.path) == ["members[0]", "members[1]", "members[2]"])
        #expect(change { $0.members[1].logDirectory = "/log" }.refusals.map(\.path) == ["members[1]"])
    }
}
