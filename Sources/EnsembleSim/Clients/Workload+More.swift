import EnsembleBase
import KeeperCore

/// What clients of widened plans ask for beside the common requests.
///
/// - `/a0…2`: nodes with restricted rights. Of two users each client proves to be one, or neither.
/// - `/d…u`: nodes with access lists of their own.
/// - `/d…`: trees of three levels, made and taken down by single multis.
/// - `/h…`: containers that are emptied and filled again.
extension Workload {
    /// What the hands make of a credential: the user, and a hash of the rest.
    static func identity(provedBy credential: [UInt8]) -> Identity {
        let user = credential.prefix { $0 != UInt8(ascii: ":") }
        return Identity(scheme: "digest", id: ByteString(Array(user) + Array(":AAAAAAAAAAAAAAAAAAAAAAAAAAA=".utf8)))
    }

    private var restricted: [AccessRight] {
        [
            AccessRight(permissions: .all, identity: Identity(scheme: "auth", id: "")),
            AccessRight(permissions: .create, identity: .anyone),
        ]
    }

    /// Nobody else may even make a child.
    private var closed: [AccessRight] { Array(restricted.prefix(1)) }

    mutating func more(payload: Int, using random: inout SeededRandom) -> [Request] {
        count += 1
        let fresh = "/d\(client)-\(count)"
        let guarded = NodePath("/a\(Int.random(in: 0..<3, using: &random))")
        let register = NodePath("/r\(Int.random(in: 0..<4, using: &random))")
        let data = Array("more \(client) \(count)".utf8)
        let rights = Bool.random(using: &random) ? restricted : closed
        switch Int.random(in: 0..<50, using: &random) {
        case 0..<2: return [.auth(type: 0, scheme: "digest", credential: Array("user\(client % 2):secret".utf8))]
        // In one go with what needs it: the credential counts for what is sent behind it.
        case 2..<4:
            return [
                .auth(type: 0, scheme: "digest", credential: Array("user\(client % 2):secret".utf8)),
                .create(CreateRequest(path: guarded, data: data, acl: rights)), .getData(path: guarded, watch: false),
            ]
        case 4: return Int.random(in: 0..<5, using: &random) == 0 ? [.auth(type: 0, scheme: "digest", credential: Bool.random(using: &random) ? [] : nil)] : []
        case 5: return [.create(CreateRequest(path: guarded, data: data, acl: rights))]
        case 6..<8: return [.setData(path: guarded, data: data, version: -1)]
        case 8..<10: return [.getData(path: guarded, watch: false)]
        case 46: return [.exists(path: guarded, watch: true)]
        case 47..<49: return listed(fresh, data)
        case 49: return lists.randomElement(using: &random).map { [.getData(path: $0, watch: true), .getACL(path: $0)] } ?? []
        case 10: return [.delete(path: guarded, version: -1)]
        case 11: return [.setACL(path: guarded, acl: Bool.random(using: &random) ? rights : AccessRight.openToAll, version: -1)]
        case 12: return [.getChildren2(path: guarded, watch: false), .getACL(path: guarded)]
        case 13..<16: return deepTree(fresh, data)
        case 16..<18: return takeDown()
        case 18: return trees.first.map { [.delete(path: $0, version: -1), .getChildren2(path: $0, watch: false)] } ?? []
        case 19..<22: return [failingLate(fresh, register, data)]
        case 22..<24: return [decidedByCheck(register, data)]
        case 24..<26: return refill(using: &random)
        case 26: return payload > 0 ? [large(register, payload)] : []
        case 27..<30: return [.getChildren(path: "/q", watch: Bool.random(using: &random))]
        case 30..<32: return [.removeWatches(path: register, type: .data)]
        case 32: return [.removeWatches(path: "/q", type: .any), .checkWatches(path: "/q", type: .persistentRecursive)]
        case 33: return [.checkWatches(path: register, type: .data)]
        case 34: return [.setData(path: counterPath(0), data: data, version: versions[0] &- 1)]
        case 35: return [.multiRead([.getData(path: counterPath(1), watch: false), .getChildren(path: "/q", watch: false)])]
        case 36: return [.create(CreateRequest(path: NodePath("/c\(client)-\(count)n"), data: nil, acl: AccessRight.openToAll))]
        case 37: return [.getEphemerals(prefix: "/"), .whoAmI, .getAllChildrenNumber(path: "/q")]
        case 38: return [.create(CreateRequest(path: NodePath("/none/\(count)"), data: data, acl: AccessRight.openToAll))]
        case 39..<42: return [Workload.node(guarded.appending("x".utf8))]
        case 42..<44: return [.delete(path: guarded.appending("x".utf8), version: -1)]
        // Never its version.
        case 44: return [.delete(path: counterPath(0), version: versions[0] &+ 1000)]
        default: return belowEphemeral(fresh)
        }
    }

    /// Three levels, a value and a sequential node, by one multi: each part needs those before it.
    private mutating func deepTree(_ root: String, _ data: [UInt8]) -> [Request] {
        trees.append(NodePath(root))
        return [
            .multi([
                Workload.node(NodePath(root)), Workload.node(NodePath(root + "/x"), data), Workload.node(NodePath(root + "/x/y")),
                .setData(path: NodePath(root + "/x"), data: data + data, version: 0),
                Workload.node(NodePath(root + "/x/s-"), flags: 2), .check(path: NodePath(root + "/x"), version: 1),
            ])
        ]
    }

    private mutating func takeDown() -> [Request] {
        guard let root = trees.popFirst() else { return [] }
        let parts = ["/x/s-0000000001", "/x/y", "/x", ""].map { NodePath("\(root)\($0)") }
        return [.multi(parts.map { .delete(path: $0, version: -1) }), .exists(path: root, watch: false)]
    }

    /// Everything but the last part could be done, so nothing is.
    private func failingLate(_ fresh: String, _ register: NodePath, _ data: [UInt8]) -> Request {
        .multi([
            Workload.node(NodePath(fresh + "l"), data), .setData(path: counterPath(2), data: data, version: -1),
            .delete(path: NodePath(fresh + "l"), version: 0), Workload.node(NodePath(fresh + "m")),
            .delete(path: "/none", version: -1), .setData(path: register, data: data, version: -1),
        ])
    }

    /// A check without a write on the same node: it alone decides.
    private func decidedByCheck(_ register: NodePath, _ data: [UInt8]) -> Request {
        let counter = count % 3
        return .multi([
            .check(path: counterPath(counter), version: versions[counter]), Workload.node(register, data),
            .setData(path: register, data: data, version: 0),
        ])
    }

    /// Containers live on when they are filled again before the leader takes them away.
    private mutating func refill(using random: inout SeededRandom) -> [Request] {
        guard containers.count > 3, let old = containers.popFirst() else {
            let path = NodePath("/h\(client)-\(count)")
            containers.append(path)
            return [
                Workload.node(path, flags: 4, op: .createContainer), Workload.node(path.appending("x".utf8)),
                .delete(path: path.appending("x".utf8), version: -1),
            ]
        }
        containers.append(old)
        let child = old.appending("x".utf8)
        return Bool.random(using: &random) ? [Workload.node(child)] : [Workload.node(child), .delete(path: child, version: -1)]
    }

    /// While a snapshot is being made.
    mutating func amidSnapshot() -> [Request] {
        count += 1
        return listed("/d\(client)-\(count)", [1])
    }

    /// A node with a list that no other has, and everybody may read: lists come and go as snapshots are made.
    private mutating func listed(_ fresh: String, _ data: [UInt8]) -> [Request] {
        let path = NodePath(fresh + "u")
        let own = AccessRight(permissions: .read, identity: Identity(scheme: "ip", id: ByteString("10.0.\(client).\(count % 250)")))
        lists.append(path)
        let old = lists.count > 6 ? [Request.delete(path: lists.removeFirst(), version: -1)] : []
        return [.create(CreateRequest(path: path, data: data, acl: AccessRight.openToAll + [own]))] + old
    }

    private func large(_ register: NodePath, _ size: Int) -> Request {
        .setData(path: register, data: Array(repeating: UInt8(truncatingIfNeeded: count), count: size), version: -1)
    }

    private func belowEphemeral(_ fresh: String) -> [Request] {
        [Workload.node(NodePath(fresh + "e"), flags: 1), Workload.node(NodePath(fresh + "e/x"))]
    }
}
