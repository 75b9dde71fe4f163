import KeeperCodec
import KeeperCore

/// What is asked of the servers.
enum Operation: String, CaseIterable, Sendable {
    case get
    case set
    case create
    /// Of twenty requests 14 get, 5 set, 1 create.
    case mixed
}

/// The frames of a workload, encoded once: sending one is a copy and two patches.
struct Workload {
    let operation: Operation
    let root: String
    let keys: Int
    private var gets: [[UInt8]] = []
    private var sets: [[UInt8]] = []
    private let data: [UInt8]
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Nodes of `size` bytes, `keys` of them to be read and set, all below `root`, one parent per connection for those
    /// that are created.
    init(_ operation: Operation, root: String, keys: Int, size: Int) {
        self.operation = operation
        self.root = root
        self.keys = keys
        data = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        for key in 0..<keys {
            let path = NodePath("\(root)/k\(key)")
            gets.append(Self.frame(.getData(path: path, watch: false)))
            sets.append(Self.frame(.setData(path: path, data: data, version: -1)))
        }
    }

    /// The frames that make the nodes to be read and the parents of those to be created.
    func preparation(connections: Int) -> [[UInt8]] {
        let nodes = [root] + (0..<keys).map { "\(root)/k\($0)" } + (0..<connections).map { "\(root)/c\($0)" }
        return nodes.map { Self.frame(.create(CreateRequest(path: NodePath($0), data: data, acl: AccessRight.openToAll))) }
    }

    /// The template for a connection's creates; the last ten bytes of its path are a number to be patched.
    func creation(connection: Int) -> (frame: [UInt8], digits: Int) {
        let path = "\(root)/c\(connection)/0000000000"
        let frame = Self.frame(.create(CreateRequest(path: NodePath(path), data: data, acl: AccessRight.openToAll)))
        // length, xid, type, length of the path
        return (frame, 16 + path.utf8.count - 10)
    }

    static let closing = frame(.closeSession)

    private static func frame(_ request: Request) -> [UInt8] {
        let body = RequestFrame(xid: 0, request: request).encoded()
        return withUnsafeBytes(of: Int32(body.count).bigEndian, Array.init) + body
    }

    /// A cheap sequence (xorshift): which key is next need only be spread, the same in every run.
    private mutating func random() -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state >> 33)
    }

    /// Queues the next request on a connection; `made` counts what that connection has created.
    mutating func enqueue(
        on connection: WireConnection, creation: (frame: [UInt8], digits: Int), made: inout Int, at now: Int64
    ) {
        let key = random() % keys
        switch next() {
        case .get: gets[key].withUnsafeBytes { _ = connection.enqueue($0, at: now) }
        case .set: sets[key].withUnsafeBytes { _ = connection.enqueue($0, at: now) }
        case .create, .mixed:
            let place = creation.frame.withUnsafeBytes { connection.enqueue($0, at: now) }
            var rest = made
            for digit in 0..<10 {
                let byte = UInt8(ascii: "0") + UInt8(rest % 10)
                (place + creation.digits + 9 - digit).storeBytes(of: byte, as: UInt8.self)
                rest /= 10
            }
            made += 1
        }
    }

    private mutating func next() -> Operation {
        guard operation == .mixed else { return operation }
        let draw = random() % 20
        return draw < 14 ? .get : draw < 19 ? .set : .create
    }
}
