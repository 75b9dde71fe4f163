import EnsembleBase
import KeeperCore

/// zoo.cfg → `ServerConfiguration`. Pure. All problems are reported at once; an unknown key is a warning, since
/// Apache's server takes any key as a system property; a value that can't be honoured is an error, never ignored.
package struct ConfigurationParser {
    package struct Outcome: Sendable {
        /// nil if any problem is an error.
        package var configuration: ServerConfiguration?
        package var problems: [ConfigurationProblem]
    }

    let file: String
    var problems: [ConfigurationProblem] = []
    var values: [String: Property] = [:]
    var members: [MemberAddress] = []

    /// `readMyID` returns the content of the named `myid` file, nil if it isn't there; called for ensembles only.
    package static func parse(
        _ bytes: [UInt8], file: String, readMyID: (_ path: String) -> [UInt8]?
    ) -> Outcome {
        var parser = ConfigurationParser(file: file)
        parser.collect(bytes)
        let configuration = parser.build(readMyID: readMyID)
        parser.reportLeftovers()
        let failed = parser.problems.contains { $0.severity == .error }
        parser.problems.sort { ($0.line ?? 0) < ($1.line ?? 0) }
        return Outcome(configuration: failed ? nil : configuration, problems: parser.problems)
    }

    private init(file: String) { self.file = file }

    mutating func error(_ line: Int?, _ message: String) {
        problems.append(ConfigurationProblem(severity: .error, file: file, line: line, message: message))
    }

    mutating func warn(_ line: Int?, _ message: String) {
        problems.append(ConfigurationProblem(severity: .warning, file: file, line: line, message: message))
    }

    private mutating func collect(_ bytes: [UInt8]) {
        var (properties, malformed) = PropertiesText.parse(bytes)
        for problem in malformed { error(problem.line, problem.message) }
        var lastLine: [String: Int] = [:]
        for index in properties.indices {
            if properties[index].key.hasPrefix("zookeeper.") { properties[index].key.removeFirst("zookeeper.".count) }
            lastLine[properties[index].key] = properties[index].line
        }
        for property in properties {
            // Of a key that is given twice Apache's server knows only the last: Java's Properties is a map.
            guard let last = lastLine[property.key], last == property.line else {
                let line = lastLine[property.key] ?? 0
                warn(property.line, "\(property.key) is given again on line \(line), which counts; remove this one")
                continue
            }
            if property.key.hasPrefix("server.") { collectMember(property) } else { values[property.key] = property }
        }
        members.sort { $0.id < $1.id }
    }

    private mutating func collectMember(_ property: Property) {
        let suffix = property.key.dropFirst("server.".count)
        guard let id = ServerID(suffix), (0...254).contains(id) else {
            error(property.line, "\(property.key): the id must be a number in 0...254")
            return
        }
        guard !members.contains(where: { $0.id == id }) else {
            error(property.line, "server.\(id) was already given; remove one of them")
            return
        }
        switch MemberAddress.parse(id: id, value: property.value) {
        case .success(let member):
            if let other = members.first(where: {
                $0.host == member.host
                    && !Set([$0.quorumPort, $0.electionPort]).isDisjoint(with: [member.quorumPort, member.electionPort])
            }) {
                error(property.line, "server.\(id) uses a port of server.\(other.id) on the same host \(member.host)")
            }
            if member.role == .observer {
                error(property.line, "server.\(id): observers are not built; make it a participant or leave it out")
            }
            members.append(member)
        case .failure(let problem):
            error(property.line, "server.\(id): \(problem.message)")
        }
    }

    // MARK: typed access; each takes its key out of `values`, so that what is left is unknown

    mutating func take(_ key: String) -> Property? { values.removeValue(forKey: key) }

    /// - Parameter decoded: for what Apache's server reads as a system property with `Integer.getInteger` or `Long.getLong`:
    ///   0x and # begin hexadecimal digits, 0 octal ones (java.lang.Integer, decode).
    mutating func number(_ key: String, in range: ClosedRange<Int>, decoded: Bool = false) -> (value: Int, line: Int)? {
        guard let property = take(key) else { return nil }
        guard let value = decoded ? Self.decode(property.value) : Int(property.value) else {
            error(property.line, "\(key) must be a whole number, found \"\(property.value)\"")
            return nil
        }
        guard range.contains(value) else {
            error(property.line, "\(key) must be within \(range.lowerBound)...\(range.upperBound), found \(value)")
            return nil
        }
        return (value, property.line)
    }

    private static func decode(_ text: String) -> Int? {
        var digits = text[...]
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
        var radix = 10
        if let prefix = ["0x", "0X", "#"].first(where: digits.hasPrefix) {
            digits.removeFirst(prefix.count)
            radix = 16
        } else if digits.hasPrefix("0"), digits.count > 1 {
            radix = 8
        }
        // The integer's own parser would take a second sign.
        guard digits.allSatisfy(\.isHexDigit) else { return nil }
        return Int((isNegative ? "-" : "") + digits, radix: radix)
    }

    mutating func flag(_ key: String) -> (value: Bool, line: Int)? {
        guard let property = take(key) else { return nil }
        switch property.value.lowercased() {
        case "true", "yes": return (true, property.line)
        case "false", "no": return (false, property.line)
        default:
            error(property.line, "\(key) must be true or false (or yes, no), found \"\(property.value)\"")
            return nil
        }
    }

    /// A setting that only makes sense with one value here.
    mutating func refuse(_ key: String, being refused: Bool, why: String) {
        if let (value, line) = flag(key), value == refused { error(line, "\(key)=\(refused): \(why)") }
    }

    private mutating func build(readMyID: (String) -> [UInt8]?) -> ServerConfiguration? {
        let timing = takeTiming()
        let directories = takeDirectories()
        let standaloneEnabled = flag("standaloneEnabled")?.value ?? true
        let voters = members.filter { $0.role == .participant }
        if voters.isEmpty, !members.isEmpty { error(nil, "every server.N is an observer; at least one must be a participant") }
        let standalone = members.isEmpty || (members.count == 1 && standaloneEnabled)
        if !standalone {
            if timing.initLimit == nil { error(nil, "initLimit is missing; an ensemble needs it (10 is usual)") }
            if timing.syncLimit == nil { error(nil, "syncLimit is missing; an ensemble needs it (5 is usual)") }
        }
        if voters.count == 2 {
            warn(nil, "two voting members tolerate no failure at all; three tolerate one")
        }
        let serverID = standalone ? (members.first?.id ?? 0) : takeServerID(directories.data, readMyID)
        checkPeerType(of: serverID)
        let client = takeClient(myself: members.first { $0.id == serverID })
        let limits = takeLimits()
        let keeping = takeKeeping()
        let sizes = takeSizeLimits()
        takeRefused()
        guard let client, let data = directories.data else { return nil }
        return ServerConfiguration(
            file: file, tickTime: timing.tick, initLimit: timing.initLimit ?? 10, syncLimit: timing.syncLimit ?? 5,
            minSessionTimeout: timing.minSession, maxSessionTimeout: timing.maxSession, dataDirectory: data,
            logDirectory: directories.log ?? data, createsDirectories: flag("datadir.autocreate")?.value ?? true, client: client,
            clientBacklog: number("clientPortListenBacklog", in: -1...65535).map { $0.value < 1 ? 1024 : $0.value } ?? 1024,
            maxClientConnections: limits.perAddress, maxConnections: limits.total, members: standalone ? [] : members,
            serverID: serverID ?? 0, standalone: standalone,
            quorumListenOnAllAddresses: flag("quorumListenOnAllIPs")?.value ?? false, snapCount: keeping.snapCount,
            snapshotSizeLimit: sizes.snapshot, logSizeLimit: sizes.log, snapRetainCount: keeping.retain,
            purgeInterval: keeping.purge, preallocation: keeping.preallocation, maxFrame: limits.frame,
            globalOutstandingLimit: limits.outstanding, memoryBudget: takeMemoryBudget(),
            sessionlessTimeout: takeSessionlessTimeout(), containerSweepInterval: takeContainerSweepInterval(),
            allowedWords: takeWords(),
            superDigest: takeSuperDigest())
    }

    private mutating func takeTiming() -> (
        tick: Duration, initLimit: Int?, syncLimit: Int?, minSession: Duration, maxSession: Duration
    ) {
        let tick = number("tickTime", in: 10...600_000)?.value ?? 3000
        let initLimit = number("initLimit", in: 1...100_000)?.value
        let syncLimit = number("syncLimit", in: 1...100_000)?.value
        // −1 means "the default" to Apache's server.
        let lowest = number("minSessionTimeout", in: -1...Int(Int32.max)).flatMap { $0.value == -1 ? nil : $0.value } ?? 2 * tick
        let highest = number("maxSessionTimeout", in: -1...Int(Int32.max)).flatMap { $0.value == -1 ? nil : $0.value } ?? 20 * tick
        if lowest > highest { error(nil, "minSessionTimeout (\(lowest)) is greater than maxSessionTimeout (\(highest))") }
        return (.milliseconds(tick), initLimit, syncLimit, .milliseconds(lowest), .milliseconds(highest))
    }

    private mutating func takeDirectories() -> (data: String?, log: String?) {
        guard let data = take("dataDir") else {
            error(nil, "dataDir is missing: it names the directory of the database")
            return (nil, nil)
        }
        if data.value.isEmpty { error(data.line, "dataDir is empty") }
        let log = take("dataLogDir")
        if let log, log.value.isEmpty { error(log.line, "dataLogDir is empty; leave the line out to keep logs in dataDir") }
        return (data.value, log?.value)
    }

    private mutating func takeServerID(_ directory: String?, _ readMyID: (String) -> [UInt8]?) -> ServerID? {
        guard let directory else { return nil }
        let path = directory.hasSuffix("/") ? directory + "myid" : directory + "/myid"
        guard let bytes = readMyID(path) else {
            error(nil, "\(path) is missing: an ensemble's member needs it to know which server.N it is")
            return nil
        }
        let text = PropertiesText.trimmed(String(decoding: bytes, as: UTF8.self))
        guard let id = ServerID(text), (0...254).contains(id) else {
            error(nil, "\(path) must hold one number in 0...254, found \"\(text.prefix(40))\"")
            return nil
        }
        guard members.contains(where: { $0.id == id }) else {
            let known = members.map { "server.\($0.id)" }.joined(separator: ", ")
            error(nil, "\(path) says \(id), but there is no server.\(id) line (there are \(known))")
            return nil
        }
        return id
    }

    private mutating func checkPeerType(of serverID: ServerID?) {
        guard let property = take("peerType") else { return }
        guard let role = MemberAddress.Role(rawValue: property.value.lowercased()) else {
            error(property.line, "peerType must be participant or observer, found \"\(property.value)\"")
            return
        }
        guard let serverID, let member = members.first(where: { $0.id == serverID }) else { return }
        if member.role != role {
            error(property.line, "peerType=\(role.rawValue), but server.\(serverID) is a \(member.role.rawValue); make them agree")
        }
    }

    private mutating func takeClient(myself: MemberAddress?) -> HostPort? {
        let port = number("clientPort", in: 0...65535)
        let address = takeClientAddress()
        if let inLine = myself?.client {
            if let port, port.value != inLine.port {
                error(port.line, "clientPort is \(port.value), but this member's server line says \(inLine.port)")
            }
            if let address, address.host != inLine.host {
                error(address.line, "clientPortAddress is \(address.host), but this member's server line says \(inLine.host)")
            }
            return inLine
        }
        guard let port else {
            error(nil, "clientPort is missing: give the port that clients connect to")
            return nil
        }
        // Without an address: every one, of both families.
        return HostPort(host: address?.host ?? "0.0.0.0", port: port.value)
    }

    private mutating func takeClientAddress() -> (host: String, line: Int)? {
        guard let property = take("clientPortAddress") else { return nil }
        guard let host = HostPort.host(property.value) else {
            let found = "found \"\(property.value)\""
            error(
                property.line,
                "clientPortAddress must be an address or a host's name, \(found); leave the line out to listen on every address")
            return nil
        }
        return (host, property.line)
    }

    private mutating func takeSuperDigest() -> ByteString? {
        guard let property = take("DigestAuthenticationProvider.superDigest") else { return nil }
        let parts = property.value.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[1].utf8.count == 28 else {
            error(property.line, "superDigest must be user:base64(sha1(user:password)), 28 characters behind the colon")
            return nil
        }
        return ByteString(property.value)
    }
}
