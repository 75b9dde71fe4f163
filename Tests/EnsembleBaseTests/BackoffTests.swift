import EnsembleBase
import Testing

@Suite struct BackoffTests {
    @Test func doublesUpToTheCeilingWithinItsJitter() {
        var backoff = Backoff(initial: .seconds(1), ceiling: .seconds(10))
        var random = SeededRandom(seed: 7)
        for expected in [1.0, 2, 4, 8, 10, 10] {
            let wait = Double(backoff.next(using: &random).inMilliseconds) / 1000
            #expect(wait <= expected && wait >= expected * 0.8 - 0.001)
        }
        backoff.reset()
        #expect(backoff.next(using: &random) <= .seconds(1))
    }

    @Test func queueKeepsOrderAcrossCompaction() {
        var queue = FIFO<Int>()
        var popped: [Int] = []
        for i in 0..<1000 {
            queue.append(i)
            if i % 3 != 0, let e = queue.popFirst() { popped.append(e) }
        }
        while let e = queue.popFirst() { popped.append(e) }
        #expect(popped == Array(0..<1000))
    }
}
