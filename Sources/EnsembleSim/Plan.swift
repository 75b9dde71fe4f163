import EnsembleBase
import KeeperCore

/// Everything that decides a run: drawn from the seed, and then perhaps made smaller (`Shrinking`).
package struct Plan: Hashable, Sendable {
    package var seed: UInt64
    package var servers: Int
    package var clients: Int
    package var atlas: FaultAtlas
    /// Virtual milliseconds during which faults happen.
    package var faultTime: Int64
    /// Whether everything that passes between processes goes through the codec.
    package var usesBytes: Bool
    package var snapCount: Int
    package var windowCount: Int
    package var bug: DeliberateBug?
    /// Whether a real operator drives the processes, and meets `operatorFaults`; else the world does.
    package var isOperated = false
    package var operatorFaults: OperatorFaults = .none
    /// Milliseconds that a client waits between its turns.
    package var clientPause: ClosedRange<Int64> = 2...40
    /// Whether the rules that look inside of members are left out.
    package var outsideOnly = false
    /// The only rule that counts; nil for all.
    package var only: Rule?
    /// Faults come after up to so many milliseconds each.
    package var faultPause: Int64
    /// What all ambushes wait for; nil: each for something else.
    package var moment: Ambush.Moment?
    /// Whether all clients fall silent together now and then: epochs without a transaction, sessions that run out.
    package var lulls: Bool
    /// A client moves to another server once in so many turns.
    package var turnsPerMove: Int
    /// Whether clients ask for more than the common requests: rights, credentials, deep trees, multis that fail late.
    package var asksMore = false
    /// Whether clients behave as badly as real ones: wrong passwords, sessions that are over, silence, hasty departures.
    package var clientsMisbehave = false
    /// Whether half of the clients count their requests anew on every connection, as kazoo does.
    package var restartsXids = false
    /// The most bytes of a value, now and then.
    package var payload = 0
    /// Whether the members' clocks run at rates of their own, between 0.9 and 1.1.
    package var clocksDrift = false
    /// An epoch's zxids are used up after so many; nil: after 2³².
    package var epochLength: UInt32?
    /// Milliseconds that a tree takes from a leader to its learner.
    package var treeTime: Int64 = 0
    /// Whether the members begin with what Apache's servers left (`ApacheDirectories`).
    package var wasApaches = false
    /// Bytes that a link between two members carries in a second, each way; nil: any number.
    package var bandwidth: Int?
    /// One that speaks as Apache's server does (`ApachePeer`).
    package var apachePeer: ServerID?
    /// Whether files are small and change often, are rewritten in pieces, and are found as others leave them (`World+FileFaults`).
    package var smallFiles = false
    /// What the disk has done is known a while later, as where threads do it: what comes meanwhile is not part of it.
    package var answersLate = false
    /// Whether clients come to a leader that is none any more, and doesn't know it.
    package var luresClients = false
    /// Whether a server that stood still asks for its timers before it reads what came meanwhile.
    package var timersGoFirst = false
    /// The operator's step at which something strikes that it can't know of; nil: chance alone.
    package var operatorMoment: OperatorAmbush.Moment?
    /// Whether members get other members' directories, and mounts come late enough to cover what serves by then.
    package var confusesDisks = false
    /// Whether people cancel what they have asked for, and pause it.
    package var changesMind = false
    /// Whether the daemon hears nobody until some time after the cluster's first start.
    package var deafAtFirst = false
    /// Whether whole servers run, over cables and files (`WiredWorld`); else their machines alone.
    package var isWired = false

    package init(seed: UInt64, bug: DeliberateBug? = nil) {
        var random = SeededRandom(seed: seed ^ 0x9a11)
        self.seed = seed
        self.bug = bug
        atlas = FaultAtlas.drawn(using: &random)
        servers = [3, 3, 3, 5][Int.random(in: 0..<4, using: &random)]
        clients = Int.random(in: 2...6, using: &random)
        faultTime = [10_000, 20_000, 40_000][Int.random(in: 0..<3, using: &random)]
        usesBytes = Int.random(in: 0..<4, using: &random) == 0
        snapCount = [100, 800, 800, 20_000][Int.random(in: 0..<4, using: &random)]
        windowCount = [10, 200, 5_000][Int.random(in: 0..<3, using: &random)]
        faultPause = [1_000, 3_000, 3_000, 8_000][Int.random(in: 0..<4, using: &random)]
        lulls = Int.random(in: 0..<3, using: &random) == 0
        turnsPerMove = [60, 400, 400][Int.random(in: 0..<3, using: &random)]
        if Int.random(in: 0..<3, using: &random) == 0 { moment = Ambush.Moment.allCases.randomElement(using: &random) }
    }

    /// The run of the same seed with an operator: what it does takes seconds, so that there is more time and less haste.
    package static func operated(seed: UInt64, bug: DeliberateBug? = nil) -> Plan {
        var plan = Plan(seed: seed, bug: bug)
        var random = SeededRandom(seed: seed ^ 0x0bea)
        plan.isOperated = true
        plan.operatorFaults = OperatorFaults.drawn(using: &random)
        // A server that ends itself by its disk is the operator's to judge by its words, which `damagedDirectories` is.
        plan.atlas.subtract([.bitRot, .fullDisks, .failedSyncs])
        plan.moment = nil
        plan.lulls = false
        plan.faultTime = [20_000, 40_000, 80_000][Int.random(in: 0..<3, using: &random)]
        plan.clients = min(plan.clients, 4)
        plan.clientPause = 10...150
        plan.snapCount = [50, 200, 800][Int.random(in: 0..<3, using: &random)]
        // Drawn last, so that what a seed stood for before this fault was known stays as it was.
        if Int.random(in: 0..<4, using: &random) == 0 { plan.operatorFaults.insert(.lateLosses) }
        for (_, fault) in OperatorFaults.named where OperatorFaults.ofHearing.contains(fault) {
            if Int.random(in: 0..<4, using: &random) == 0 { plan.operatorFaults.insert(fault) }
        }
        if Int.random(in: 0..<3, using: &random) == 0 { plan.operatorFaults.insert(.lateMounts) }
        if Int.random(in: 0..<4, using: &random) == 0 { plan.operatorFaults.insert(.lostMajorities) }
        return plan
    }

    /// The run of the same seed with whole servers: each costs more, so that there is less time.
    package static func wired(seed: UInt64, bug: DeliberateBug? = nil) -> Plan {
        var plan = Plan(seed: seed, bug: bug)
        var random = SeededRandom(seed: seed ^ 0x33d1)
        plan.isWired = true
        plan.atlas = plan.atlas.intersection(.ofWires)
        plan.restartsXids = Bool.random(using: &random)
        plan.clocksDrift = Int.random(in: 0..<3, using: &random) == 0
        plan.usesBytes = true
        plan.moment = nil
        plan.lulls = false
        plan.faultTime = min(plan.faultTime, 20_000)
        if Int.random(in: 0..<6, using: &random) == 0 { plan.servers = 1 }
        if Int.random(in: 0..<4, using: &random) == 0 { plan.atlas.insert(.stalledDisks) }
        return plan
    }

    /// A run of the kind in which a bug shows.
    package static func showing(_ bug: DeliberateBug, seed: UInt64) -> Plan {
        if bug.isWires { return wired(seed: seed, bug: bug) }
        return bug.isOperators ? operated(seed: seed, bug: bug) : Plan(seed: seed, bug: bug)
    }

    /// A swarm's run of a seed: every third has an operator.
    package static func drawn(seed: UInt64, bug: DeliberateBug? = nil) -> Plan {
        (seed % 3 == 0 ? operated(seed: seed, bug: bug) : Plan(seed: seed, bug: bug)).widened()
    }

    /// The same seed in a wider world. What is drawn here comes from a stream of its own, and nothing of it is in a plan
    /// that was not widened: such a plan is what it was before any of this was known.
    package func widened() -> Plan {
        var plan = self
        var random = SeededRandom(seed: seed ^ 0x3d1e)
        func oneIn(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
        plan.asksMore = !oneIn(3)
        plan.clientsMisbehave = oneIn(2)
        plan.restartsXids = oneIn(2)
        plan.payload = oneIn(6) ? 50_000 : 0
        plan.clocksDrift = oneIn(3)
        let epochLength = oneIn(8) ? UInt32.random(in: 20...2_000, using: &random) : nil
        // An operator needs an ensemble that serves for longer than it takes to bring a member back (seed 537: an election
        // each half second).
        plan.epochLength = epochLength.map { plan.isOperated ? $0 + 3_000 : $0 }
        plan.treeTime = [0, 0, 100, 600][Int.random(in: 0..<4, using: &random)]
        plan.atlas.formUnion(FaultAtlas(rawValue: UInt32(truncatingIfNeeded: random.next())).intersection(.wider))
        if oneIn(3), !isOperated { plan.servers = [1, 2, 4, 6, 7][Int.random(in: 0..<5, using: &random)] }
        // Drawn last, each behind the one before, so that what a seed stood for before these were known stays as it was.
        plan.wasApaches = oneIn(4) && !isOperated
        let bandwidth = oneIn(4) && !isOperated ? [200_000, 1_000_000][Int.random(in: 0..<2, using: &random)] : nil
        // A link that can't carry what clients ask for has no ensemble.
        plan.bandwidth = bandwidth.map { plan.payload > 0 ? $0 * 20 : $0 }
        let hasApachePeer = oneIn(6) && !isOperated && plan.servers > 1
        plan.apachePeer = hasApachePeer ? ServerID(Int.random(in: 1...plan.servers, using: &random)) : nil
        if oneIn(3), !isOperated {
            plan.smallFiles = true
            plan.snapCount = [8, 25, 80][Int.random(in: 0..<3, using: &random)]
            plan.atlas.formUnion(oneIn(2) ? [.crashes, .bitRot] : [.crashes, .isolatedLeaders])
        }
        plan.answersLate = oneIn(2)
        if isOperated, !oneIn(3) { plan.operatorMoment = OperatorAmbush.Moment.allCases.randomElement(using: &random) }
        if isOperated, oneIn(3) { plan.operatorFaults.insert(.slowDeaths) }
        if oneIn(5) { plan.atlas.insert(.sleepingHosts) }
        plan.luresClients = oneIn(2)
        plan.timersGoFirst = oneIn(2)
        if isOperated {
            // Whoever waits for a step sees to it that it comes, and sometimes that little else does.
            if plan.operatorMoment != nil {
                plan.operatorFaults.insert(.people)
                if oneIn(2) { plan.faultPause = 8_000 }
            }
            plan.deafAtFirst = oneIn(6)
            if plan.deafAtFirst, oneIn(2) { plan.operatorFaults.insert(.lostMajorities) }
            if oneIn(6) { plan.operatorFaults.insert(.quietEpochs) }
            plan.confusesDisks = !oneIn(3)
            plan.changesMind = !oneIn(3)
        }
        return plan
    }
}

extension Plan {
    /// The same seed with files that change often and are found hurt.
    package func withSmallFiles() -> Plan {
        var plan = self
        plan.smallFiles = true
        plan.snapCount = min(plan.snapCount, 80)
        plan.atlas.formUnion([.crashes, .bitRot])
        return plan
    }

    /// The same seed, operated, with something that waits for this step of the operator's.
    package func striking(at moment: OperatorAmbush.Moment) -> Plan {
        var plan = self
        plan.operatorMoment = moment
        plan.operatorFaults.insert(.people)
        return plan
    }

    private var widths: String {
        var words: [String] = []
        if asksMore { words.append("more requests") }
        if clientsMisbehave { words.append("bad clients") }
        if restartsXids { words.append("xids anew") }
        if payload > 0 { words.append("values of \(payload) bytes") }
        if clocksDrift { words.append("clocks that drift") }
        if let epochLength { words.append("epochs of \(epochLength)") }
        if smallFiles { words.append("small files") }
        if answersLate { words.append("disks that answer late") }
        if treeTime > 0 { words.append("trees in \(treeTime) ms") }
        if wasApaches { words.append("Apache's directories") }
        if let bandwidth { words.append("links of \(bandwidth) bytes/s") }
        if luresClients { words.append("clients that come to a former leader") }
        if timersGoFirst { words.append("timers before sockets") }
        if confusesDisks { words.append("disks that are confused") }
        if changesMind { words.append("people who change their minds") }
        if deafAtFirst { words.append("a daemon that hears nobody at first") }
        if let operatorMoment { words.append("strikes where the daemon \(operatorMoment)") }
        if let apachePeer { words.append("\(apachePeer) speaks as Apache's") }
        return words.isEmpty ? "" : ", " + words.joined(separator: ", ")
    }

    /// One line for a person.
    package var summary: String {
        let names = atlas.names + (isOperated ? operatorFaults.names : [])
        let faults = names.isEmpty ? "no faults" : names.joined(separator: ", ")
        return
            "seed \(seed)\(isOperated ? " operated" : isWired ? " wired" : ""), \(servers) servers, \(clients) clients, \(faultTime) ms of \(faults), one in \(faultPause) ms\(usesBytes ? ", as bytes" : "")\(lulls ? ", lulls" : "")\(moment.map { ", ambushes for one that \($0)" } ?? ""), moves 1/\(turnsPerMove), snapshots every \(snapCount), window \(windowCount)\(widths)\(bug.map { ", bug \($0.rawValue)" } ?? "")"
    }
}
