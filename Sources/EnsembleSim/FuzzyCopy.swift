import EnsembleBase
import KeeperCore

/// A copy of a tree that goes on changing while it is made, as the snapshot writer and the SNAP stream make it.
struct FuzzyCopy: Sendable {
    /// At its beginning: for whoever wants to take the same walk in another way.
    let walk: SnapshotWalk
    /// On the wire, in bytes, about.
    let size: Int
    private var rest: SnapshotWalk
    private var loader = DataTreeLoader()
    private var failure: TreeLoadingError?

    /// - Parameter losesRights: whether restricted lists are taken for others: a deliberate bug.
    init(of tree: DataTree, losesRights: Bool = false) {
        walk = tree.beginSnapshot()
        rest = walk
        size = tree.approximateDataSize + 80 * tree.nodeCount
        do throws(TreeLoadingError) {
            for session in walk.sessions { try loader.addSession(session.session, timeout: session.timeout) }
            for (key, list) in walk.accessLists {
                let isOther = losesRights && list.contains { $0.identity.scheme == "digest" }
                try loader.addAccessList(key: key, isOther ? AccessRight.openToAll + list : list)
            }
        } catch { failure = error }
    }

    /// Copies about `limit` further nodes as they are now.
    ///
    /// - Parameter omitted: a node that is left out: a deliberate bug.
    mutating func advance(over tree: DataTree, limit: Int, without omitted: NodePath? = nil) {
        var (loader, failure) = (loader, failure)
        self.loader = DataTreeLoader()
        _ = tree.snapshotNodes(&rest, limit: limit) { path, data, key, stat in
            guard failure == nil, path != omitted else { return }
            do throws(TreeLoadingError) {
                try loader.addNode(path: path, data: data, aclKey: key, stat: stat)
            } catch { failure = error }
        }
        (self.loader, self.failure) = (loader, failure)
    }

    /// - Parameter zxid: the last transaction that it shows wholly.
    consuming func finish(zxid: Zxid) throws(TreeLoadingError) -> DataTree {
        if let failure { throw failure }
        return try loader.finish(zxid: zxid)
    }
}
