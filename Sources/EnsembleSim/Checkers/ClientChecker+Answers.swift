import EnsembleBase
import KeeperCore

/// `answers` and `reads`: what a reply says is what the committed history says of its zxid.
extension ClientChecker {
    /// - Parameter number: of the request (`SentWrite`).
    func judge(
        _ reply: Reply, to request: Request, number: Int, _ history: CommittedHistory, _ verdict: inout Verdict
    ) {
        guard let outcome = history.outcome(at: reply.zxid) else { return }
        guard outcome.number == number else {
            return verdict.fail(
                .answers, "the answer at \(reply.zxid) to request \(reply.xid), number \(number), is that of number \(outcome.number)")
        }
        if reply.error != outcome.result.error {
            verdict.fail(
                .answers, "request \(reply.xid) is answered with \(reply.error.map { "\($0)" } ?? "success"), and \(outcome.result.error.map { "\($0)" } ?? "success") is committed at \(reply.zxid)")
        }
        let body = outcome.result.responseBody(for: request)
        if reply.body != body {
            verdict.fail(.answers, "request \(reply.xid) is answered with \(reply.body) at \(reply.zxid), where \(body) is committed")
        }
    }

    /// A read is answered.
    ///
    /// - Parameter identities: what the client had proved when it asked.
    mutating func read(
        _ request: Request, _ reply: Reply, who: Int, _ identities: [Identity], _ history: CommittedHistory,
        _ verdict: inout Verdict
    ) {
        operations += 1
        let reading = Reading(who: who, zxid: reply.zxid, identities: identities, history: history)
        switch (request, reply.body) {
        case (.getData(let path, _), .data(let data, let stat)):
            reading.judge(path, NodeContent(stat, data ?? []), needs: .read, &verdict)
        case (.exists(let path, _), .stat(let stat)): reading.judge(path, stat, &verdict)
        case (.getChildren2(let path, _), .childrenAndStat(let names, let stat)):
            reading.judge(path, stat, &verdict)
            reading.judge(path, names, &verdict)
            if stat.pzxid != history.lastChildChange(of: path, upTo: reply.zxid) || Int(stat.numChildren) != names.count {
                verdict.fail(.reads, "client \(who): the children of \(path) at \(reply.zxid) are those of \(stat.pzxid)")
            }
        case (.getChildren(let path, _), .children(let names)): reading.judge(path, names, &verdict)
        case (.getData(let path, _), _), (.exists(let path, _), _), (.getChildren(let path, _), _), (.getChildren2(let path, _), _):
            reading.judge(path, reply.error, &verdict)
        default: break
        }
    }
}

/// One read, held against the history.
private struct Reading {
    let who: Int
    let zxid: Zxid
    let identities: [Identity]
    let history: CommittedHistory

    private func expected(_ path: NodePath) -> NodeContent? { history.lastChange(of: path, upTo: zxid)?.content }

    func judge(_ path: NodePath, _ shown: NodeContent, needs permission: Permissions, _ verdict: inout Verdict) {
        guard CommittedHistory.isRead(path) else { return }
        if expected(path) != shown {
            verdict.fail(.reads, "client \(who): \(path) at \(zxid) shows \(shown), not \(expected(path).map { "\($0)" } ?? "nothing")")
        }
        if !WriteOracle.grants(history.rights(of: path, at: zxid), permission, to: identities) {
            verdict.fail(.reads, "client \(who): \(path) at \(zxid) is shown to one that may not read it")
        }
    }

    /// Without its data.
    func judge(_ path: NodePath, _ stat: Stat, _ verdict: inout Verdict) {
        guard CommittedHistory.isRead(path) else { return }
        let node = expected(path)
        if node?.mzxid != stat.mzxid || node?.czxid != stat.czxid || node?.version != stat.version
            || node?.length != Int(stat.dataLength) || node?.owner != stat.ephemeralOwner
        {
            verdict.fail(.reads, "client \(who): \(path) at \(zxid) shows \(stat), not \(node.map { "\($0)" } ?? "nothing")")
        }
    }

    func judge(_ path: NodePath, _ names: [ByteString], _ verdict: inout Verdict) {
        guard CommittedHistory.isRead(path) else { return }
        let expected = history.childNames(of: path, at: zxid)
        let digest = names.reduce(UInt64(0)) { $0 ^ CommittedHistory.ChildNames.digest(of: $1.bytes) }
        if expected.count != names.count || expected.digest != digest {
            verdict.fail(.reads, "client \(who): \(path) at \(zxid) has \(names.count) children, not the \(expected.count) that are committed")
        }
        if !WriteOracle.grants(history.rights(of: path, at: zxid), .read, to: identities) {
            verdict.fail(.reads, "client \(who): the children of \(path) at \(zxid) are shown to one that may not read them")
        }
    }

    /// A refusal, with its reason.
    func judge(_ path: NodePath, _ error: KeeperError?, _ verdict: inout Verdict) {
        guard CommittedHistory.isRead(path) else { return }
        let node = expected(path)
        let mayRead = WriteOracle.grants(history.rights(of: path, at: zxid), .read, to: identities)
        if node == nil ? error != .noNode : error != .noAuth || mayRead {
            verdict.fail(.reads, "client \(who): \(path) at \(zxid) is \(error.map { "\($0)" } ?? "no such answer"), and \(node == nil ? "is not there" : "is there")")
        }
    }
}
