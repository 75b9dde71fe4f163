import EnsembleBase
import KeeperCore
import KeeperServer
import KeeperStorage

/// `files`: what a start or a cut would make of a member's directory if it was hurt. It is tried on copies: nobody misses
/// them, so that no majority of disks must stay whole for it, and a server that stands alone loses nothing.
///
/// What is recovered is all of what the directory told of, and nothing else; or the directory is refused as damaged, and is
/// as it was.
extension World {
    /// - Parameter sound: what the directory has just been found to hold.
    mutating func tryHurtCopies(of id: ServerID, _ sound: RecoveredState) {
        let disk = servers[index(id)].disk
        guard plan.smallFiles || plan.wasApaches, faultsEnabled, !disk.isSpoiled, !sound.recovering else { return }
        for _ in 0..<Int.random(in: 0...3, using: &copyRandom) {
            let copy = HurtCopy(of: disk, endingAt: sound.tree.lastProcessedZxid, checkers.proposals, using: &copyRandom)
            if let copy { tryStart(of: id, on: copy) }
        }
        if Bool.random(using: &copyRandom) {
            tryCut(of: id, on: disk.copied(seed: copyRandom.next()), endingAt: sound.tree.lastProcessedZxid)
        }
    }

    // MARK: Starts

    private mutating func tryStart(of id: ServerID, on copy: HurtCopy) {
        let before = copy.disk.drive.numberedContent
        let isStandalone = servers.count == 1 || Bool.random(using: &copyRandom)
        let what = "a copy of the directory of \(id), with \(copy.hurt)\(isStandalone ? ", alone" : "")"
        do throws(StorageError) {
            let state = try Recovery(layout: copy.disk.layout, isStandalone: isStandalone).recover()
            let end = state.tree.lastProcessedZxid
            let admitsLoss = copy.hasHurtSnapshot && !isStandalone && state.recovering && end < copy.end
            if end != copy.end, !admitsLoss { checkers.fail(.files, "S1: \(what), is taken for all up to \(end), and had \(copy.end)") }
            judgeContent(of: id, state, "\(what),")
        } catch {
            judgeRefusal(error, what)
            if copy.disk.drive.numberedContent != before { checkers.fail(.files, "S6: \(what), is refused, and not what it was") }
        }
        judgeOperations(on: copy.disk.drive, what)
    }

    /// A person must be told that it is the data, and not to try again.
    private mutating func judgeRefusal(_ error: StorageError, _ what: String) {
        let report = ServerExitReport(error)
        guard report.exit != .corruptData, report.exit != .inputOutput else { return }
        checkers.fail(.files, "\(what), is refused with \(report.exit): \(report.message)")
    }

    private mutating func judgeOperations(on drive: FaultyDisk, _ what: String) {
        if let offence = drive.offence { checkers.fail(.files, "\(what): \(offence)") }
    }

    // MARK: Cuts

    /// Anywhere in the log, whatever the snapshots are: Apache's candidate takes one of what nobody else has.
    private mutating func tryCut(of id: ServerID, on copy: SimDisk, endingAt end: Zxid) {
        guard let target = (try? copy.entries(behind: .zero, upTo: end))?.map(\.zxid).filter({ $0 >= copy.exactFrom })
            .randomElement(using: &copyRandom)
        else { return }
        let isReachable = copy.leads(to: target, checkers.proposals)
        let what = "a copy of the directory of \(id), cut at \(target)"
        let recovery = Recovery(layout: copy.layout, isStandalone: servers.count == 1)
        do throws(StorageError) {
            let state = try recovery.truncateLog(to: target)
            let found = state.tree.lastProcessedZxid
            if found != target, isReachable || found != end { checkers.fail(.files, "\(what), is at \(found), and was at \(end)") }
            judgeContent(of: id, state, "\(what),")
            let again = try recovery.recover()
            if again.tree.lastProcessedZxid != found {
                checkers.fail(.files, "\(what), is at \(found), and at \(again.tree.lastProcessedZxid) behind a restart")
            }
            judgeContent(of: id, again, "\(what),")
        } catch { judgeRefusal(error, what) }
        judgeOperations(on: copy.drive, what)
    }
}
