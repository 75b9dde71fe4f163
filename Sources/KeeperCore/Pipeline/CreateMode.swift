import EnsembleBase

/// What the flags of a create ask for (reference/zookeeper.md, 1.3).
struct CreateMode: Hashable, Sendable {
    let isEphemeral: Bool
    let isSequential: Bool
    let isContainer: Bool

    /// A container that is asked for by `create` or `create2` is a plain node: so Apache's server makes it, though the
    /// digest that it announces is a container's (the digest here is that of what is made), and clients rely on it.
    ///
    /// - Throws: `badArguments` for unknown flags and for a `createContainer` that asks for something else;
    ///   `unimplemented` for TTL nodes, as an Apache server without `extendedTypesEnabled` answers.
    init(_ request: CreateRequest) throws(KeeperError) {
        switch request.flags {
        case 0...4: break
        case 5, 6: throw .unimplemented
        default: throw .badArguments
        }
        if request.op == .createTTL { throw .unimplemented }
        isContainer = request.op == .createContainer
        guard !isContainer || request.flags == 4 else { throw .badArguments }
        isEphemeral = request.flags == 1 || request.flags == 3
        isSequential = request.flags == 2 || request.flags == 3
    }

    func owner(session: SessionID) -> NodeOwner {
        isContainer ? .container : isEphemeral ? .session(session) : .persistent
    }

    /// Java's `%010d`: ten characters, zeros behind the sign.
    static func sequenceSuffix(_ number: Int32) -> [UInt8] {
        let digits = Array(String(number.magnitude).utf8)
        let sign: [UInt8] = number < 0 ? [UInt8(ascii: "-")] : []
        let zeros = max(0, 10 - digits.count - sign.count)
        return sign + Array(repeating: UInt8(ascii: "0"), count: zeros) + digits
    }
}
