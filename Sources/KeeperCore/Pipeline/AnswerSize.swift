/// How much a read asks for, before it is answered.
extension DataTree {
    /// About how many bytes of data, names and ids the answer to a request would hold, counted as far as `limit`. A
    /// write's answer counts for nothing.
    ///
    /// - Parameter least: what may be added to a node until then.
    package func answerSize(to request: Request, from session: SessionID, least: Int, upTo limit: Int) -> Int {
        switch request {
        case .getData(let path, _): max(least, size(path) { nodes.dataCount($0) })
        case .getChildren(let path, _), .getChildren2(let path, _): max(least, size(path) { namesSize($0, limit) })
        case .getACL(let path):
            max(least, size(path) { access.list(nodes.aclKey($0))?.reduce(0) { $0 + $1.size } ?? 0 })
        case .multiRead(let parts):
            parts.reduce(0) { $0 < limit ? $0 + answerSize(to: $1, from: session, least: least, upTo: limit) : $0 }
        case .getEphemerals:
            ephemeralSlots(of: session).reduce(least) { $0 < limit ? $0 + 4 + path(of: $1).bytes.count : $0 }
        default: 0
        }
    }

    private func size(_ path: NodePath, _ count: (NodeSlot) -> Int) -> Int {
        let slot = slot(of: path)
        return slot == .none ? 0 : count(slot)
    }

    private func namesSize(_ slot: NodeSlot, _ limit: Int) -> Int {
        // Each name has its length before it.
        guard nodes.childCount(slot) < limit / 4 else { return limit }
        var size = 0
        for child in nodes.children(slot) where size < limit { size += 4 + nodes.name(child).count }
        return size
    }
}
