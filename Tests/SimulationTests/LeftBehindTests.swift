import EnsembleBase
import Testing

@testable import EnsembleSim

/// Ten thousand seeds run in one process: what a world leaves behind is multiplied by as many (it was once 8 MiB each).
@Suite struct LeftBehindTests {
    @Test(arguments: [false, true]) func aWorldIsForgotten(_ isOperated: Bool) {
        weak var drive: FaultyDisk?
        weak var hands: SimHands?
        do {
            var world = World(isOperated ? .operated(seed: 2) : Plan(seed: 2))
            world.run(until: .origin + .seconds(6))
            drive = world.servers[0].disk.drive
            hands = world.servers[0].hands
            #expect(drive != nil && hands != nil)
        }
        #expect(drive == nil)
        #expect(hands == nil)
    }
}
