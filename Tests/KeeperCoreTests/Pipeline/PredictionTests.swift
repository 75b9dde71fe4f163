import EnsembleBase
import KeeperCore
import Testing

/// The digest that a leader announces is the digest that every member computes (reference/zookeeper.md, 2.4).
@Suite struct PredictionTests {
    @Test(arguments: 1...40)
    func predictedDigestIsTheAppliedOne(seed: Int) {
        var writes = RandomWrites(seed: UInt64(seed))
        var world = WriteWorld(sessions: writes.sessions)
        let depth = 1 + seed % 9
        for _ in 0..<300 {
            let (request, session) = writes.request()
            world.submit(request, session: session, as: [RandomWrites.reader])
            while world.outstanding.count > writes.pick(depth + 1) { world.applyNext() }
        }
        world.applyAll()
        #expect(world.mispredicted.isEmpty)
        #expect(world.preparation.isEmpty)
        // Judged against the right state: a transaction that was let through never fails when applied.
        for (entry, result) in zip(world.log, world.results) {
            if case .error = entry.transaction { continue }
            #expect(result.error == nil, "\(entry)")
            if case .multi(let results) = result.outcome, case .multi(let parts) = entry.transaction {
                #expect(!parts.contains { $0.type != -1 } || !results.contains { if case .error = $0 { true } else { false } })
            }
        }
        #expect(world.results.contains { if case .multi(let r) = $0.outcome { r.count > 1 && r[0] != .error(nil) } else { false } })
    }

    /// Pipelining must not change what a request does.
    @Test(arguments: 1...20)
    func pipeliningIsInvisible(seed: Int) {
        var writes = RandomWrites(seed: UInt64(seed))
        var pipelined = WriteWorld(sessions: writes.sessions)
        var plain = pipelined
        for _ in 0..<200 {
            let (request, session) = writes.request()
            pipelined.submit(request, session: session)
            if pipelined.outstanding.count > 20 { pipelined.applyNext() }
            plain.submit(request, session: session)
            plain.applyAll()
        }
        pipelined.applyAll()
        for (a, b) in zip(pipelined.log, plain.log) {
            guard case .closeSession(let x?) = a.transaction, case .closeSession(let y?) = b.transaction else {
                #expect(a == b)
                continue
            }
            // Listed in another order: the proposed ones come last.
            #expect(x.sorted() == y.sorted() && a.digest == b.digest)
        }
        #expect(TreeContents(pipelined.tree) == TreeContents(plain.tree))
    }
}
