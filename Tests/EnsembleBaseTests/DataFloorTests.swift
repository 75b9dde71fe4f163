import EnsembleBase
import Testing

@Suite struct DataFloorTests {
    @Test func passesACommandLine() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5)
        #expect(floor.description == "0x500000012:6:5")
        #expect(DataFloor(floor.description) == floor)
        let marked = DataFloor(zxid: 5, acceptedEpoch: 6, currentEpoch: 5, isMarked: true)
        #expect(marked.description == "0x5:6:5:marked")
        #expect(DataFloor(marked.description) == marked)
        let wrong = [
            "", "0x5", "5:1:1", "0x5:1", "0x5:1:", "0x:1:1", "0x-1:1:1", "0x5:-1:1", "0x5:1:-1", "0x5:1:1:1", "0x5:1:1:", "0x5:1:1:marked:", "0x5:1:marked", "0x5: 1:1",
            "0xffffffffffffffff:1:1",
        ]
        for text in wrong {
            #expect(DataFloor(text) == nil, "\(text)")
        }
    }

    @Test func aTransactionPromisesItsEpoch() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5)
        #expect(floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5, isMarked: false))
        #expect(floor.isMet(zxid: 6 << 32, acceptedEpoch: 5, currentEpoch: 5, isMarked: false))
        #expect(!floor.isMet(zxid: 5 << 32 | 17, acceptedEpoch: 6, currentEpoch: 5, isMarked: false))
        #expect(!floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 5, currentEpoch: 5, isMarked: false))
        // S2: what had a mark and has none would vote; a mark that was not there hurts nobody.
        let marked = DataFloor(zxid: 5, acceptedEpoch: 1, isMarked: true)
        #expect(!marked.isMet(zxid: 9, acceptedEpoch: 9, currentEpoch: 9, isMarked: false))
        #expect(marked.isMet(zxid: 5, acceptedEpoch: 1, currentEpoch: 0, isMarked: true))
        #expect(floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5, isMarked: true))
        // S2: its vote would be weaker than what it has acknowledged.
        #expect(!floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 4, isMarked: false))
    }
}
