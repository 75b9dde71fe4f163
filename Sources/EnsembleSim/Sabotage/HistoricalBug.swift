/// A bug that servers of this kind have had, and whether the simulator would have found it.
///
/// One place says what each was and how it is planted; `ensemble-sim proof` makes `docs/proof.md` of it.
package struct HistoricalBug: Sendable {
    package enum Standing: Sendable {
        /// Switched on, and looked for by a swarm.
        case planted(DeliberateBug)
        /// It can't be here, for this reason.
        case impossible(String)
        /// It could be, and no world shows it yet: what stands in for it.
        case notPlanted(String)
    }

    package var name: String
    /// What went wrong, in one line.
    package var what: String
    package var standing: Standing

    package var planted: DeliberateBug? {
        if case .planted(let bug) = standing { bug } else { nil }
    }

    private init(_ name: String, _ what: String, _ standing: Standing) {
        self.name = name
        self.what = what
        self.standing = standing
    }

    package static let all = apaches + rivals + ours

    private static let apaches = [
        HistoricalBug("ZOOKEEPER-3023", "a follower serves before it has committed what it was synced with", .planted(.commitsBehindUpToDate)),
        HistoricalBug("ZOOKEEPER-4394", "a COMMIT between NEWLEADER and UPTODATE has nothing to belong to", .planted(.commitUnknownBeforeUpToDate)),
        HistoricalBug("ZOOKEEPER-4643", "currentEpoch is on disk before the history that it vouches for", .planted(.epochBeforeLog)),
        HistoricalBug("ZOOKEEPER-4646", "NEWLEADER is acknowledged before the synced history is on disk", .planted(.newLeaderBeforeSync)),
        HistoricalBug("ZOOKEEPER-4685", "a proposal's acknowledgement before NEWLEADER's ends the sync, again and again", .planted(.proposalAckedFirst)),
        HistoricalBug("ZOOKEEPER-4712", "what was logged is not what memory holds after a follower's end", .planted(.truncateInMemoryOnly)),
        HistoricalBug("ZOOKEEPER-4785", "proposals that are under way while a learner is synced never reach it", .planted(.proposalsNotResent)),
        HistoricalBug("ZOOKEEPER-4925", "DIFF has a hole, and spreads it", .planted(.holeInDiff)),
        HistoricalBug("ZOOKEEPER-3642", "a tree that was saved in part counts as a state to build on", .planted(.installEpochFirst)),
        HistoricalBug("ZOOKEEPER-2623", "a bare check is proposed", .planted(.checkProposed)),
        HistoricalBug("ZOOKEEPER-4846", "a fuzzy snapshot refers to lists of rights that it lacks", .planted(.treeLosesRights)),
        HistoricalBug(
            "ZOOKEEPER-4787", "the election's configuration is written in the host's charset, and read in another's",
            .impossible("strings are UTF-8 here on every host; what a peer sends of its configuration is kept as bytes")),
        HistoricalBug("ZOOKEEPER-4882", "a log that could not be written for a while has a hole, and its member rejoins", .planted(.failedSyncIgnored)),
        HistoricalBug("ZOOKEEPER-4837", "behind TRUNC the tree still shows what was cut: ephemerals outlive their session", .planted(.truncatedEffectsStay)),
        HistoricalBug(
            "ZOOKEEPER-5010", "open",
            .notPlanted("its thread was in none of the sources that were at hand, and nothing is planted on a guess")),
        HistoricalBug("ZOOKEEPER-4689", "after SNAP a node has another node's rights", .planted(.treeLosesRights)),
        HistoricalBug(
            "ZOOKEEPER-4352", "open",
            .notPlanted("its thread was in none of the sources that were at hand, and nothing is planted on a guess")),
        HistoricalBug("ZOOKEEPER-2354", "a crash between the two epoch files leaves an accepted epoch behind the current one", .planted(.acceptedEpochNotWritten)),
        HistoricalBug("ZOOKEEPER-1675", "sync is answered without the leader's word", .planted(.syncWithoutLeader)),
        HistoricalBug(
            "ZOOKEEPER-2789", "an epoch has only 2³² zxids, and its end costs an election",
            .impossible(
                "the zxid's halves are part of the format that is shared with Apache's server, so that the election comes here too; worlds with epochs of 20 to 2,000 zxids see that nothing else does")),
    ]

    private static let rivals = [
        HistoricalBug("ClickHouse 91464", "a member with an empty directory thinks it leads", .planted(.recoveringIgnored)),
        HistoricalBug(
            "ClickHouse 118740", "a member that is removed and added again without a restart aborts",
            .impossible("members are those of zoo.cfg and change with a restart: no running process is removed or added")),
        HistoricalBug("ClickHouse 92480", "persistent watches outlive their sessions", .planted(.departuresUnnoticed)),
    ]

    private static let ours = [
        HistoricalBug("Issue 8, A1", "a DIFF out of a window with a hole", .planted(.windowHasHole)),
        HistoricalBug("Issue 8, A2", "a tree that differs goes on serving", .planted(.replaySkipsEntry)),
        HistoricalBug("Issue 8, A3", "a digest that was announced wrongly makes recovery fail", .planted(.wrongAnnouncementFatal)),
        HistoricalBug("Issue 8, A4", "a reply brings what became of another request", .planted(.answerOfAnother)),
        HistoricalBug("Issue 8, A5", "damage amid durable writes passes for a torn tail", .planted(.damageTakenForTail)),
        HistoricalBug("Issue 8, A6", "recovery reads a whole log into memory", .planted(.wholeLogRead)),
        HistoricalBug("Issue 8, A7", "restarts postpone snapshots for ever", .planted(.replayUncounted)),
        HistoricalBug("Issue 8, A8", "who wakes expires sessions before it reads what they sent", .planted(.sessionsJudgedBeforeReading)),
    ]
}

extension HistoricalBug {
    /// A row of the table.
    ///
    /// - Parameter seconds: that the search took.
    package func row(_ finding: Sensitivity.Finding?, seconds: Double) -> String {
        func line(_ cells: String...) -> String { "| \(cells.joined(separator: " | ")) |" }
        switch standing {
        case .impossible(let reason): return line(name, what, "cannot be here: \(reason)", "", "", "")
        case .notPlanted(let reason): return line(name, what, "not planted: \(reason)", "", "", "")
        case .planted(let bug):
            guard let seed = finding?.seed, let violation = finding?.violation else {
                return line(name, what, "`\(bug.rawValue)`", "**not found**", "", String(Int(seconds.rounded(.up))) + " s")
            }
            let time = String(Int(seconds.rounded(.up))) + " s"
            return line(name, what, "`\(bug.rawValue)`", violation.rule.rawValue, String(seed), time)
        }
    }
}
