import EnsembleSim
import Testing

@Suite struct CampaignTests {
    @Test(arguments: UInt64(1)...40) func seedsAreClean(seed: UInt64) {
        let result = Campaign.run(seed: seed)
        #expect(result.violation == nil, "ensemble-sim run --seed \(seed)")
        #expect(result.acknowledged > 0)
    }

    @Test func theSameSeedIsTheSameRun() {
        #expect(Campaign.run(seed: 3).fingerprint == Campaign.run(seed: 3).fingerprint)
    }

    /// A checker that finds nothing proves nothing: each deliberate bug is found within a bounded number of seeds.
    @Test(arguments: DeliberateBug.allCases) func deliberateBugsAreFound(bug: DeliberateBug) {
        let found = (UInt64(1)...300).first { Campaign.run(seed: $0, bug: bug).violation != nil }
        #expect(found != nil)
    }
}
