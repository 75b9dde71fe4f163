import EnsembleBase
import Testing

@testable import EnsembleControl

/// S11: what evidence amounts to. Each case is a fault that the operator once answered, or would answer, by ending a server
/// that served (issue 9, B2).
@Suite struct VerdictTests {
    private let bounds = VerdictBounds(stopped: .seconds(5), silence: .seconds(10), start: .seconds(60))
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    /// All serve, 3 leads and counts the others.
    private func ensemble(_ count: Int = 3, at now: Instant, counts: Int? = nil) -> EnsembleObservation {
        let ids = Array(1...count)
        var observed = EnsembleObservation(members: ids, voters: ids, freshness: .seconds(3))
        for id in ids {
            observed[id]?.began(pid: Int32(id))
            answer(id, &observed, at: now, counts: counts ?? count - 1)
        }
        return observed
    }

    private func answer(
        _ id: Int, _ observed: inout EnsembleObservation, at now: Instant, counts: Int? = nil, role: MemberAnswer.Role? = nil
    ) {
        let role = role ?? (id == 3 ? .leading : .following)
        observed[id]?.answer = MemberAnswer(
            at: now, role: role, zxid: 1 << 32, syncedFollowers: role == .leading ? counts : nil)
        observed[id]?.heard(.answers)
    }

    /// Silent since the start, judged after `time`; the others answer then.
    private func silent(_ ids: [Int], for time: Duration = .seconds(11), of count: Int = 3, counts: Int, lead: Int? = 3) -> (EnsembleObservation, Instant) {
        let now = start + time
        var observed = ensemble(count, at: start)
        for id in ids { observed[id]?.heard(.silent(since: start)) }
        for moment in [start, now] {
            for id in 1...count where !ids.contains(id) {
                answer(id, &observed, at: moment, counts: counts, role: lead == nil ? .looking : nil)
            }
            observed.weighSilence(at: moment)
        }
        return (observed, now)
    }

    private func kind(_ id: Int, _ world: (EnsembleObservation, Instant)) -> Verdict.Kind {
        world.0.verdict(on: id, within: bounds, at: world.1).kind
    }

    @Test func whoAnswersLives() {
        #expect(kind(1, (ensemble(at: start), start)) == .alive)
        #expect(kind(1, (ensemble(at: start), start + .seconds(4))) == .unknown, "its answer is old")
    }

    // MARK: the kernel

    @Test func aStoppedProcessIsFrozenWhateverElseIsKnown() {
        var observed = ensemble(at: start)
        observed[1]?.saw(ProcessSight(.stopped), at: start)
        #expect(kind(1, (observed, start + .seconds(4))) == .unknown)
        #expect(kind(1, (observed, start + .seconds(5))) == .frozen)
        // The leader counts it for a while yet.
        #expect(observed.verdict(on: 1, within: bounds, at: start + .seconds(5)).reason == .stoppedBySignal(for: .seconds(5)))
        observed[1]?.saw(ProcessSight(.runs), at: start + .seconds(5))
        observed[1]?.saw(ProcessSight(.stopped), at: start + .seconds(6))
        #expect(kind(1, (observed, start + .seconds(8))) == .unknown, "it went on in between")
    }

    @Test func whoIsDebuggedIsLeftAlone() {
        var (observed, now) = silent([1], for: .seconds(600), counts: 1)
        observed[1]?.saw(ProcessSight(.traced), at: start)
        #expect(kind(1, (observed, now)) == .unknown)
    }

    /// Seen with a debugger that was ended: the server was killed before it could answer.
    @Test func whoGoesOnIsListenedToAnew() {
        var (observed, now) = silent([1], for: .seconds(600), counts: 1)
        observed[1]?.saw(ProcessSight(.traced), at: start)
        observed[1]?.saw(ProcessSight(.runs), at: now)
        #expect(kind(1, (observed, now)) == .unknown)
    }

    @Test func theDeadAreDead() {
        var observed = ensemble(at: start)
        observed[1]?.ended(.signalled(9))
        #expect(kind(1, (observed, start)) == .dead)
    }

    // MARK: silence

    @Test func whoIsSilentAndNotCountedIsFrozen() {
        #expect(kind(1, silent([1], counts: 1)) == .frozen)
        #expect(kind(1, silent([1], for: .seconds(9), counts: 1)) == .unknown, "not yet")
        // An election without it.
        #expect(kind(1, silent([1], counts: 0, lead: nil)) == .frozen)
    }

    /// B2: the resolver is gone, or there is no descriptor left: nothing is known of anybody.
    @Test func whoCouldNotBeAskedIsNotSilent() {
        var observed = ensemble(at: start)
        for id in 1...3 { observed[id]?.heard(.notAsked("no such name", since: start)) }
        for id in 1...3 { #expect(kind(id, (observed, start + .seconds(3600))) == .unknown) }
    }

    @Test func whoIsCountedIsCutOff() {
        let world = silent([1], counts: 2)
        #expect(world.0.verdict(on: 1, within: bounds, at: world.1) == Verdict(.cutOff, .counted))
    }

    /// A number has no names: of two that are silent the leader counts one.
    @Test func whoMayBeCountedIsLeftAlone() {
        let world = silent([1, 2], of: 5, counts: 3)
        for id in 1...2 {
            #expect(world.0.verdict(on: id, within: bounds, at: world.1) == Verdict(.unknown, .perhapsCounted(1, of: [1, 2])))
        }
        let none = silent([1, 2], of: 5, counts: 2)
        for id in 1...2 { #expect(kind(id, none) == .frozen) }
        let both = silent([1, 2], of: 5, counts: 4)
        for id in 1...2 { #expect(kind(id, both) == .cutOff) }
    }

    /// One that looks for a leader is cut off from two that have one, and the daemon doesn't hear these: to end one of them ends
    /// the quorum (operated seed 338).
    @Test func theSilentMayBeAQuorum() {
        let world = silent([1, 3], counts: 0, lead: nil)
        for id in [1, 3] {
            #expect(world.0.verdict(on: id, within: bounds, at: world.1) == Verdict(.unknown, .perhapsQuorum(of: [1, 3])))
        }
        // Two of five are none.
        let two = silent([1, 2], of: 5, counts: 0, lead: nil)
        for id in 1...2 { #expect(two.0.verdict(on: id, within: bounds, at: two.1) == Verdict(.unknown, .notCountedYet)) }
    }

    /// The silent one leads: those who follow say so.
    @Test func aDeafLeaderIsCutOff() {
        let world = silent([3], counts: 2)
        #expect(world.0.verdict(on: 3, within: bounds, at: world.1) == Verdict(.cutOff, .leadsOthers))
        let two = silent([3, 4], of: 5, counts: 4)
        for id in 3...4 { #expect(kind(id, two) == .unknown) }
    }

    /// In the moment of an election nobody follows anybody, and the deaf leader of before it would have been killed: seen in
    /// the simulated world.
    @Test func aMomentWithoutALeaderConvictsNobody() {
        var (observed, now) = silent([3], for: .seconds(60), counts: 2)
        #expect(observed.verdict(on: 3, within: bounds, at: now) == Verdict(.cutOff, .leadsOthers))
        for _ in 0..<9 {
            now = now + .seconds(1)
            for id in 1...2 { answer(id, &observed, at: now, role: .looking) }
            observed.weighSilence(at: now)
            #expect(observed.verdict(on: 3, within: bounds, at: now) == Verdict(.unknown, .notCountedYet))
        }
        for _ in 0..<2 {
            now = now + .seconds(1)
            for id in 1...2 { answer(id, &observed, at: now, role: .looking) }
            observed.weighSilence(at: now)
        }
        #expect(kind(3, (observed, now)) == .frozen, "they have been without a leader for as long as silence takes")
    }

    /// The leader's count goes down and up again: nothing follows from the moment between.
    @Test func aMomentsCountConvictsNobody() {
        var (observed, now) = silent([1], for: .seconds(60), counts: 2)
        for (second, counts) in [1, 1, 1, 2, 1, 1, 1, 1, 1, 1].enumerated() {
            now = start + .seconds(60 + second)
            for id in 2...3 { answer(id, &observed, at: now, counts: counts) }
            observed.weighSilence(at: now)
            #expect(kind(1, (observed, now)) != .frozen, "\(second)")
        }
    }

    /// The daemon was slow to ask the others: that nobody counts it is then not known.
    @Test func oldWordsOfOthersProveNothing() {
        let (observed, now) = silent([1], counts: 1)
        #expect(kind(1, (observed, now)) == .frozen)
        #expect(kind(1, (observed, now + .seconds(4))) == .unknown)
    }

    @Test func allAtOnceIsAFaultOfThisSide() {
        let world = silent([1, 2, 3], for: .seconds(3600), counts: 2)
        for id in 1...3 { #expect(world.0.verdict(on: id, within: bounds, at: world.1) == Verdict(.unknown, .allSilent)) }
        // A cluster of one has no others.
        let alone = silent([1], of: 1, counts: 0)
        #expect(kind(1, alone) == .frozen)
    }

    // MARK: starts

    @Test func whoReadsALargeTreeIsAtWork() {
        var (observed, _) = silent([1], counts: 1)
        observed[1]?.began(pid: 9)
        observed[1]?.heard(.silent(since: start))
        var sight = ProcessSight()
        for second in 0..<300 {
            sight.bytesRead += 1 << 20
            observed[1]?.saw(sight, at: start + .seconds(second))
        }
        let others = { (now: Instant, observed: inout EnsembleObservation) in
            for id in 2...3 { self.answer(id, &observed, at: now, counts: 1) }
        }
        others(start + .seconds(300), &observed)
        observed.weighSilence(at: start + .seconds(300))
        #expect(kind(1, (observed, start + .seconds(300))) == .unknown)
        // It reads no more, and does nothing.
        others(start + .seconds(361), &observed)
        #expect(kind(1, (observed, start + .seconds(361))) == .frozen)
    }

    @Test func anIdleJVMIsNotAtWork() {
        var labour = Labour()
        for second in 0..<100 {
            let time = Duration.milliseconds(20 * second)
            labour.saw(ProcessSight(.runs, processorTime: time, bytesRead: Int64(second) << 10), at: start + .seconds(second))
        }
        #expect(labour.seenAt == nil)
    }
}
