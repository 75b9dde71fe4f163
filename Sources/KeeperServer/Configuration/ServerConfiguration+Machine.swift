import EnsembleBase
import KeeperCore

extension ServerConfiguration {
    /// What the machine needs to know.
    package var machineConfiguration: KeeperConfiguration {
        let voters = members.filter { $0.role == .participant }.map(\.id)
        return KeeperConfiguration(
            serverID: serverID, voters: standalone ? [serverID] : voters, standalone: standalone, tickTime: tickTime,
            initLimit: initLimit, syncLimit: syncLimit,
            minSessionTimeout: Int32(clamping: minSessionTimeout.inMilliseconds),
            maxSessionTimeout: Int32(clamping: maxSessionTimeout.inMilliseconds), snapCount: snapCount,
            snapSizeLimit: snapshotSizeLimit,
            // What Apache's peers accept with the same jute.maxbuffer: the limit and its extra size.
            transactionLimit: 2 * maxFrame,
            configurationText: standalone ? [] : Array(configText.utf8), containerSweepInterval: containerSweepInterval)
    }

    var clientPolicy: ClientPolicy {
        var policy = ClientPolicy()
        policy.maxFrame = maxFrame
        policy.outstandingGlobally = globalOutstandingLimit
        policy.connectionsPerAddress = maxClientConnections
        policy.connections = maxConnections
        policy.superDigest = superDigest
        // A session can't outlive silence of a third of its timeout; no client needs longer to say its first word.
        policy.openingTimeout = sessionlessTimeout ?? max(.seconds(15), tickTime * 2)
        return policy
    }
}
