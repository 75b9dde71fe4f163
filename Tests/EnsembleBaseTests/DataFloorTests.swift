import EnsembleBase
import Testing

@Suite struct DataFloorTests {
    @Test func passesACommandLine() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5)
        #expect(floor.description == "0x500000012:6:5")
        #expect(DataFloor(floor.description) == floor)
        let wrong = [
            "", "0x5", "5:1:1", "0x5:1", "0x5:1:", "0x:1:1", "0x-1:1:1", "0x5:-1:1", "0x5:1:-1", "0x5:1:1:1", "0x5: 1:1",
            "0xffffffffffffffff:1:1",
        ]
        for text in wrong {
            #expect(DataFloor(text) == nil, "\(text)")
        }
    }

    @Test func aTransactionPromisesItsEpoch() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5)
        #expect(floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 5))
        #expect(floor.isMet(zxid: 6 << 32, acceptedEpoch: 5, currentEpoch: 5))
        #expect(!floor.isMet(zxid: 5 << 32 | 17, acceptedEpoch: 6, currentEpoch: 5))
        #expect(!floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 5, currentEpoch: 5))
        // S2: its vote would be weaker than what it has acknowledged.
        #expect(!floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6, currentEpoch: 4))
    }
}
