import EnsembleBase
import Testing

@Suite struct DataFloorTests {
    @Test func passesACommandLine() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6)
        #expect(floor.description == "0x500000012:6")
        #expect(DataFloor(floor.description) == floor)
        for text in ["", "0x5", "5:1", "0x5:", "0x:1", "0x-1:1", "0x5:-1", "0x5:1:1", "0xffffffffffffffff:1", "0x5: 1"] {
            #expect(DataFloor(text) == nil, "\(text)")
        }
    }

    @Test func aTransactionPromisesItsEpoch() {
        let floor = DataFloor(zxid: 5 << 32 | 18, acceptedEpoch: 6)
        #expect(floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 6))
        #expect(floor.isMet(zxid: 6 << 32, acceptedEpoch: 5))
        #expect(!floor.isMet(zxid: 5 << 32 | 17, acceptedEpoch: 6))
        #expect(!floor.isMet(zxid: 5 << 32 | 18, acceptedEpoch: 5))
    }
}
