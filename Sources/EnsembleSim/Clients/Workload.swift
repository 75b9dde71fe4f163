import EnsembleBase
import KeeperCore

/// What one client asks for: every kind of write, reads with watches, bursts.
///
/// - `/c…`: nodes of this client alone; once acknowledged, they must stay unless it deletes them.
/// - `/k0…2`: counters, moved by compare-and-set and never deleted.
/// - `/r0…3`: registers that all create, set and delete.
/// - `/q`: a queue of sequential nodes. `/g…`: containers.
/// - `/a0…2` and `/d…`, in widened plans: `Workload+More`.
struct Workload: Sendable {
    let client: Int
    var count = 0
    private var isSetUp = false
    /// Own nodes that were acknowledged.
    private var own = FIFO<NodePath>()
    private var queued = FIFO<NodePath>()
    /// The versions of the counters, as last read.
    private(set) var versions: [Int32] = [0, 0, 0]
    /// Containers that it has made; the oldest may be gone.
    var containers = FIFO<NodePath>()
    /// Deep trees that it has made and not taken down.
    var trees = FIFO<NodePath>()
    /// Nodes with lists of their own.
    var lists: [NodePath] = []

    init(client: Int) { self.client = client }

    /// Whether what all need has been asked for on this connection.
    var isReady: Bool { isSetUp }

    mutating func connectionLost() { isSetUp = false }

    static func node(_ path: NodePath, _ data: [UInt8] = [], flags: Int32 = 0, op: OpCode = .create) -> Request {
        .create(CreateRequest(op: op, path: path, data: data, acl: AccessRight.openToAll, flags: flags))
    }

    /// What is asked next, all at once.
    mutating func next(using random: inout SeededRandom) -> [Request] {
        if !isSetUp {
            isSetUp = true
            return ["/q", "/k0", "/k1", "/k2"].map { Workload.node(NodePath($0)) }
        }
        let burst = Int.random(in: 0..<12, using: &random) == 0 ? 12 : Int.random(in: 1...3, using: &random)
        var requests: [Request] = []
        while requests.count < burst { requests += one(using: &random) }
        return requests
    }

    private mutating func one(using random: inout SeededRandom) -> [Request] {
        count += 1
        let fresh = "/c\(client)-\(count)"
        let register = NodePath("/r\(Int.random(in: 0..<4, using: &random))")
        let counter = Int.random(in: 0..<3, using: &random)
        let data = Array("\(client) \(count)".utf8)
        let choice = Int.random(in: 0..<100, using: &random)
        switch choice {
        case 0..<16: return [Workload.node(NodePath(fresh), data)]
        case 16..<21: return own.popFirst().map { [.delete(path: $0, version: -1)] } ?? []
        case 21..<29: return [.setData(path: counterPath(counter), data: data, version: versions[counter])]
        case 29..<33: return [.setData(path: register, data: data, version: -1)]
        case 33..<36: return [Workload.node(register, data)]
        case 36..<38: return [.delete(path: register, version: -1)]
        case 38..<42: return [Workload.node(NodePath(fresh + "e"), flags: 1)]
        case 42..<46: return [Workload.node("/q/n-", flags: choice == 42 ? 3 : 2, op: choice < 44 ? .create2 : .create)]
        case 46..<48: return queued.popFirst().map { [.delete(path: $0, version: -1)] } ?? []
        case 48..<50: return container("/g\(client)-\(count)")
        case 50..<55: return [multi(fresh, counter, data)]
        case 55..<56: return [.setACL(path: register, acl: AccessRight.openToAll, version: -1)]
        case 56..<66: return [.getData(path: counterPath(counter), watch: choice < 60)]
        case 66..<72: return [.exists(path: register, watch: choice < 70)]
        case 72..<76: return [.getData(path: register, watch: true)]
        case 76..<79: return [.getChildren2(path: "/q", watch: choice == 76)]
        case 79..<84: return [.sync(path: "/"), .getData(path: counterPath(counter), watch: false)]
        case 84..<92: return [.getData(path: register, watch: false)]
        case 92..<97: return [.ping]
        case 97: return Int.random(in: 0..<4, using: &random) == 0 ? [.addWatch(path: "/q", recursive: true)] : []
        case 98: return Int.random(in: 0..<4, using: &random) == 0 ? [.addWatch(path: register, recursive: false)] : []
        default: return Int.random(in: 0..<3, using: &random) == 0 ? [.closeSession] : []
        }
    }

    func counterPath(_ counter: Int) -> NodePath { NodePath("/k\(counter)") }

    /// Made, filled and emptied: the leader takes it away.
    private func container(_ path: String) -> [Request] {
        [
            Workload.node(NodePath(path), flags: 4, op: .createContainer), Workload.node(NodePath(path + "/x")),
            .delete(path: NodePath(path + "/x"), version: -1),
        ]
    }

    /// Succeeds if the counter still has the version that was read; then moves it.
    private func multi(_ fresh: String, _ counter: Int, _ data: [UInt8]) -> Request {
        .multi([
            .check(path: counterPath(counter), version: versions[counter]),
            Workload.node(NodePath(fresh + "m"), data),
            .setData(path: counterPath(counter), data: data, version: versions[counter]),
        ])
    }

    mutating func answered(_ request: Request, _ reply: Reply) {
        switch (request, reply.body) {
        case (.getData(let path, _), .data(_, let stat)): noteVersion(path, stat.version)
        case (.setData(let path, _, _), .stat(let stat)): noteVersion(path, stat.version)
        case (.create(let create), .path(let path)), (.create(let create), .pathAndStat(let path, _)):
            if create.flags == 0, path.bytes[1] == UInt8(ascii: "c") { own.append(path) }
            if create.flags == 2 { queued.append(path) }
        default: break
        }
    }

    private mutating func noteVersion(_ path: NodePath, _ version: Int32) {
        guard path.bytes.count == 3, path.bytes[1] == UInt8(ascii: "k") else { return }
        let counter = Int(path.bytes[2]) - Int(UInt8(ascii: "0"))
        if versions.indices.contains(counter) { versions[counter] = version }
    }
}
