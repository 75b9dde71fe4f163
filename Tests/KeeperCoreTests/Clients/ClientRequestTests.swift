import EnsembleBase
import Testing

@testable import KeeperCore

/// A client of a server that stands alone, event by event.
@Suite struct ClientRequestTests {
    private let now = Instant.origin + .seconds(1)
    private let id = ConnectionID(rawValue: 1)

    private struct Server {
        var machine = KeeperMachine(configuration: KeeperConfiguration(serverID: 1, voters: [1], standalone: true), seed: 1)
        var actions = ActionBuffer<KeeperAction>()

        mutating func step(_ event: KeeperEvent, at now: Instant) -> [KeeperAction] {
            machine.step(event, at: now, into: &actions)
            return actions.drain()
        }
    }

    /// With one client, whose session stands.
    private func server(last: Zxid = .zero) -> Server {
        var server = Server()
        var tree = DataTree()
        tree.lastProcessedZxid = last
        _ = server.step(.clockRead(WallTime(milliseconds: 1_000_000)), at: now)
        _ = server.step(
            .recovered(RecoveredState(tree: tree, recent: [], acceptedEpoch: 0, currentEpoch: 0, recovering: false)),
            at: now)
        _ = server.step(.clientConnected(id, address: "127.0.0.1"), at: now)
        let connect = ConnectRequest(
            protocolVersion: 0, lastZxidSeen: .zero, timeout: 10_000, sessionID: 0,
            password: Array(repeating: 0, count: 16), readOnly: false)
        for case .propose(let entry, _) in server.step(.connectRequested(id, connect), at: now) {
            _ = server.step(.logSynced(entry.zxid), at: now)
        }
        return server
    }

    private func replies(_ actions: [KeeperAction]) -> [KeeperError?] {
        actions.compactMap { if case .reply(_, let reply) = $0 { .some(reply.error) } else { nil } }
    }

    private func closes(_ actions: [KeeperAction]) -> Bool {
        actions.contains { if case .closeClient = $0 { true } else { false } }
    }

    /// As Apache's server with its standard settings; an unknown operation costs the connection.
    @Test func reconfigIsDisabledAndNoReasonToPart() {
        var server = server()
        let disabled = server.step(.requested(id, xid: 1, .reconfig), at: now)
        #expect(replies(disabled) == [.reconfigDisabled])
        #expect(!closes(disabled))
        let unknown = server.step(.requested(id, xid: 2, .unknown(op: 99)), at: now)
        #expect(replies(unknown) == [.unimplemented])
        #expect(closes(unknown))
    }

    /// ZOOKEEPER-1277: at thirty thousand writes a second an epoch lasts forty hours; alone, nobody elects the next.
    @Test func aServerAloneOutlivesItsEpochsZxids() {
        var server = server(last: Zxid(epoch: 0, counter: .max - 1))
        let write = Request.create(CreateRequest(path: "/a", data: [], acl: AccessRight.openToAll))
        let proposed = server.step(.requested(id, xid: 1, write), at: now).compactMap { action -> LogEntry? in
            if case .propose(let entry, _) = action { entry } else { nil }
        }
        #expect(proposed.map(\.zxid) == [Zxid(epoch: 1, counter: 1)])
        #expect(replies(server.step(.logSynced(Zxid(epoch: 1, counter: 1)), at: now)) == [nil])
    }

    /// What is sent in one go: the credential counts for what follows, though its answer waits behind a write.
    @Test func aCredentialCountsFromItsArrivalOn() {
        var server = server()
        func propose(_ xid: Int32, _ acl: [AccessRight]) -> [Transaction] {
            let write = Request.create(CreateRequest(path: NodePath("/a\(xid)"), data: [], acl: acl))
            return server.step(.requested(id, xid: xid, write), at: now).compactMap { action -> Transaction? in
                if case .propose(let entry, _) = action { entry.transaction } else { nil }
            }
        }
        #expect(propose(1, AccessRight.openToAll).count == 1)
        let proved = Identity(scheme: "digest", id: "user:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        #expect(server.step(.authenticated(id, xid: -4, [proved]), at: now).isEmpty)
        let own = AccessRight(permissions: .all, identity: Identity(scheme: "auth", id: ""))
        guard case .create(_, _, _, let acl, _, _, _)? = propose(2, [own]).first else {
            Issue.record("the credential did not count")
            return
        }
        #expect(acl == [AccessRight(permissions: .all, identity: proved)])
        #expect(replies(server.step(.logSynced(Zxid(epoch: 0, counter: 3)), at: now)) == [nil, nil, nil])
    }

    /// Identities travel with every request that a follower forwards.
    @Test func credentialsWithoutEndAreRefused() {
        var server = server()
        var accepted = 0
        for number in 0..<10_000 {
            let proved = Identity(scheme: "digest", id: ByteString("user-\(number):hash"))
            let answer = server.step(.authenticated(id, xid: -4, [proved]), at: now)
            if closes(answer) {
                #expect(replies(answer) == [.authFailed])
                break
            }
            accepted += 1
        }
        #expect((1000...4000).contains(accepted))
    }
}
