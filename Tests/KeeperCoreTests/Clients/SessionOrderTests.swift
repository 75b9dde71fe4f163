import EnsembleBase
import Testing

@testable import KeeperCore

/// What a session has under way when its connection ends: no later connection is given its outcome (issue 8, A4), and
/// none is overtaken by it.
@Suite struct SessionOrderTests {
    private let first = ConnectionID(rawValue: 1)
    private let second = ConnectionID(rawValue: 2)

    private func zxid(_ counter: UInt32) -> Zxid { Zxid(epoch: 1, counter: counter) }

    private func created(_ path: NodePath, cxid: Int32, _ counter: UInt32, session: SessionID) -> LogEntry {
        LogEntry(
            session: session, cxid: cxid, zxid: zxid(counter), time: 1,
            transaction: .create(
                op: .create, path: path, data: [], acl: AccessRight.openToAll, ephemeral: false,
                parentCVersion: Int32(counter), ttl: 0))
    }

    private func failed(_ error: KeeperError, cxid: Int32, _ counter: UInt32, session: SessionID) -> LogEntry {
        LogEntry(session: session, cxid: cxid, zxid: zxid(counter), time: 1, transaction: .error(error.rawValue))
    }

    /// The reported sequence: kazoo numbers its requests anew on each connection.
    @Test func aLeaderDoesNotAnswerWithWhatTheConnectionBeforeAskedFor() {
        var leader = TestMember.leading()
        let session = leader.open(first)
        leader.step(.requested(first, xid: 1, create("/lock-", flags: 3)))
        leader.step(.clientDisconnected(first))
        leader.resume(session, on: second)
        leader.step(.requested(second, xid: 1, create("/b")))
        #expect(leader.commitAll().replies(second).map(\.body) == [.path("/b")])
    }

    @Test func aFollowerDoesNotAnswerWithWhatTheConnectionBeforeAskedFor() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        follower.step(.requested(second, xid: 1, create("/b")))
        follower.proposed(created("/b", cxid: 1, 2, session: 7))
        #expect(follower.told(.commit(zxid(1))).replies(second).isEmpty)
        #expect(follower.told(.commit(zxid(2))).replies(second).map(\.body) == [.path("/b")])
    }

    /// A session's requests take effect in order, over all its connections: what it reads comes behind what it wrote,
    /// also through another member.
    @Test func readsWaitForWhatTheSessionHadUnderWay() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        let asked = follower.step(.requested(second, xid: 1, .exists(path: "/lock-0000000000", watch: false)))
        #expect(asked.replies(second).isEmpty)
        #expect(follower.step(.requested(second, xid: 2, .whoAmI)).replies(second).isEmpty)
        let answered = follower.told(.commit(zxid(1))).replies(second)
        #expect(answered.map(\.xid) == [1, 2] && answered.map(\.error) == [nil, nil])
    }

    /// What another member forwarded too late is refused, and its refusal may bear the number of a request of this
    /// one's: nobody can tell, so nobody is told.
    @Test func aRefusalThatMayBeAnotherMembersEndsTheConnection() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        follower.told(.commit(zxid(1)))
        follower.step(.requested(second, xid: 1, create("/b")))
        follower.proposed(failed(.sessionMoved, cxid: 1, 2, session: 7))
        let refused = follower.told(.commit(zxid(2)))
        #expect(refused.replies(second).isEmpty && refused.closes(second))
    }

    /// The session went to another member in between and wrote there: the first answer says nothing of that.
    @Test func anAnswerAboutASessionAdmitsOnlyTheConnectionThatAsked() {
        var follower = followerWithWriteUnderWay()
        follower.step(.clientDisconnected(second))
        let third = ConnectionID(rawValue: 3)
        follower.resume(7, on: third)
        func admitted(_ actions: [KeeperAction]) -> Bool {
            actions.contains { if case .connectReply(third, _) = $0 { true } else { false } }
        }
        #expect(!admitted(follower.told(.revalidated(session: 7, valid: true))))
        #expect(admitted(follower.told(.revalidated(session: 7, valid: true))))
    }

    /// Apache's leader answers for the session while what was forwarded before still waits for its turn.
    @Test func aSessionIsNotAdmittedBeforeWhatItForwardedIsProposed() {
        var follower = TestMember.following()
        follower.resume(7, on: first)
        follower.told(.revalidated(session: 7, valid: true))
        follower.step(.requested(first, xid: 1, create("/a")))
        follower.step(.requested(first, xid: 2, create("/b")))
        follower.proposed(created("/a", cxid: 1, 1, session: 7))
        follower.step(.clientDisconnected(first))
        follower.resume(7, on: second)
        #expect(follower.told(.revalidated(session: 7, valid: true)).closes(second))
        follower.proposed(created("/b", cxid: 2, 2, session: 7))
        let third = ConnectionID(rawValue: 3)
        follower.resume(7, on: third)
        #expect(!follower.told(.revalidated(session: 7, valid: true)).closes(third))
        #expect(follower.step(.requested(third, xid: 1, .exists(path: "/b", watch: false))).replies(third).isEmpty)
        #expect(follower.told(.commit(zxid(2))).replies(third).map(\.error) == [nil])
    }

    /// The leader ends a session by a request that no client numbered.
    @Test func theEndOfASessionIsNoOutcomeOfARequest() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        follower.told(.commit(zxid(1)))
        follower.step(.requested(second, xid: 0, create("/b")))
        follower.proposed(
            LogEntry(session: 7, cxid: 0, zxid: zxid(2), time: 1, transaction: .closeSession(ephemerals: [])))
        let ended = follower.told(.commit(zxid(2)))
        #expect(ended.replies(second).isEmpty && ended.closes(second))
    }

    /// A sync whose connection has gone takes its own answer with it.
    @Test func theAnswerToALostSyncIsNotTheNextOnes() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        follower.told(.commit(zxid(1)))
        follower.step(.requested(second, xid: 1, .sync(path: "/a")))
        follower.step(.clientDisconnected(second))
        let third = ConnectionID(rawValue: 3)
        follower.resume(7, on: third)
        follower.told(.revalidated(session: 7, valid: true))
        follower.step(.requested(third, xid: 1, .sync(path: "/b")))
        #expect(follower.told(.sync).replies(third).isEmpty)
        #expect(follower.told(.sync).replies(third).map(\.body) == [.path("/b")])
    }

    /// An answer that can't be given to anyone leaves nobody waiting for ever.
    @Test func aSyncAnsweredOutOfTurnEndsTheConnection() {
        var follower = followerWithWriteUnderWay()
        follower.told(.revalidated(session: 7, valid: true))
        follower.told(.commit(zxid(1)))
        follower.step(.requested(second, xid: 1, create("/b")))
        follower.step(.requested(second, xid: 2, .sync(path: "/a")))
        #expect(follower.told(.sync).closes(second))
    }

    /// Seed 800030: a close that was delayed on a slow link came behind later requests of its session, sent through
    /// another member, and ended it.
    @Test func aCloseCountsOnlyThroughTheMemberThatTheSessionTalksTo() {
        var leader = TestMember.leading()
        leader.connectLearner(1)
        leader.heard(.ackEpoch(lastZxid: .zero, currentEpoch: 0), from: 1)
        leader.heard(.ack(zxid(0)), from: 1)
        let session: SessionID = 7
        func forwarded(_ request: Request, cxid: Int32) -> QuorumPacket {
            .request(ForwardedRequest(session: session, cxid: cxid, request: request, identities: []))
        }
        leader.heard(forwarded(.createSession(timeout: 10_000), cxid: 0), from: 1)
        leader.commitAll()
        leader.heard(.revalidate(session: session, timeout: 10_000), from: 2)
        let late = leader.heard(forwarded(.closeSession, cxid: 3), from: 1)
        #expect(late.proposals.map(\.transaction) == [.error(KeeperError.sessionMoved.rawValue)])
        leader.commitAll()
        #expect(leader.machine.tree.timeout(of: session) != nil)
        let own = leader.heard(forwarded(.closeSession, cxid: 1), from: 2)
        #expect(own.proposals.map(\.transaction) == [.closeSession(ephemerals: [])])
    }

    /// The first connection of session 7 wrote and is gone; the second has asked to go on with the session.
    private func followerWithWriteUnderWay() -> TestMember {
        var follower = TestMember.following()
        follower.resume(7, on: first)
        follower.told(.revalidated(session: 7, valid: true))
        follower.step(.requested(first, xid: 1, create("/lock-", flags: 2)))
        follower.proposed(created("/lock-0000000000", cxid: 1, 1, session: 7))
        follower.step(.clientDisconnected(first))
        follower.resume(7, on: second)
        return follower
    }
}
