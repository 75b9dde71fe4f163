import EnsembleBase

/// The keys of a manifest, section by section: what each is called, what it takes, what it means.
enum ManifestSections {
    static let cluster = Field<String>(
        "cluster",
        .text("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", wanted: "1 to 63 of a-z, 0-9 and -, with no - at either end") { name in
            let bytes = name.utf8
            let edge = UInt8(ascii: "-")
            guard (1...63).contains(bytes.count), bytes.first != edge, bytes.last != edge else { return false }
            return bytes.allSatisfy { byte in
                byte == edge || (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
            }
        }, isRequired: true, about: "Name of the cluster, also of its systemd instance.")
    static let engine = Field<Engine>(
        "engine", .choice, standard: "bundled", about: "The program that members run: ours, or Apache's Java server.")
    static let dataDirectory = Field<String>(
        "dataDirectory", .path,
        about: "Where members keep their files: each under members/<id>. Default: the daemon's state directory.")
    static let settings = Field("settings", SettingsSection.section.type, about: "What every server is told.")
    static let members = Field<[MemberDraft]>(
        "members", .list(of: MemberSection.section.type, limit: 254, wanted: "a list of members, each beginning with '- id: '"),
        isRequired: true, about: "The members of the cluster.")
    static let backups = Field(
        "backups", BackupSection.section.type, about: "When backups are taken and how long they are kept.")
    static let restart = Field(
        "restart", RestartSection.section.type, about: "What happens after a server ended by itself.")
    static let reseed = Field(
        "reseed", ReseedSection.section.type, about: "When lost members are brought back without a person.")
    static let limits = Field("limits", LimitsSection.section.type, about: "Limits of each server process.")
    static let apache = Field(
        "apache", ApacheSection.section.type, about: "How Apache's server is launched; only with engine: apache.")
    static let operatorAccess = Field(
        "operator", OperatorSection.section.type, about: "Who may use the control socket.")

    static let fields = [
        cluster.erased, engine.erased, dataDirectory.erased, settings.erased, members.erased, backups.erased,
        restart.erased, reseed.erased, limits.erased, apache.erased, operatorAccess.erased,
    ]

    /// Where a key that stands in the wrong section belongs; nil when no section has it.
    static func home(of key: String) -> String? {
        let sections: [(String, [AnyField])] = [
            ("the top level", fields), ("settings", SettingsSection.fields), ("members", MemberSection.fields),
            ("backups", BackupSection.fields), ("backups.retention", RetentionSection.fields),
            ("restart", RestartSection.fields), ("reseed", ReseedSection.fields), ("limits", LimitsSection.fields),
            ("apache", ApacheSection.fields), ("operator", OperatorSection.fields),
        ]
        return sections.first { $0.1.contains { $0.key == key } }?.0
    }
}

enum SettingsSection {
    static let tickTime = Field<Duration>(
        "tickTime", .duration(.milliseconds(10) ... .seconds(60)), standard: "2s", about: "The unit of all limits.")
    static let initLimit = Field<Int>(
        "initLimit", .integer(1...10_000), standard: "10", about: "Ticks for a member to connect to the leader and sync.")
    static let syncLimit = Field<Int>(
        "syncLimit", .integer(1...10_000), standard: "5", about: "Ticks that a member may lag behind the leader.")
    static let maxClientConnections = Field<Int>(
        "maxClientCnxns", .integer(0...1_000_000), standard: "60", about: "Connections from one address; 0 is no limit.")
    static let minSessionTimeout = Field<Duration>(
        "minSessionTimeout", .duration(.milliseconds(10) ... .seconds(86_400)),
        about: "Shortest session a client may ask for. Default: 2 ticks.")
    static let maxSessionTimeout = Field<Duration>(
        "maxSessionTimeout", .duration(.milliseconds(10) ... .seconds(86_400)),
        about: "Longest session a client may ask for. Default: 20 ticks.")
    static let snapCount = Field<Int>(
        "snapCount", .integer(2...100_000_000), standard: "100000", about: "Transactions between two snapshots.")
    static let fourLetterWords = Field<[String]>(
        "fourLetterWords", .list(of: word, limit: 32, wanted: "a list of four-letter words, such as [cons, wchs]"),
        standard: "[]", about: "Four-letter words that clients may ask for, beside conf, isro, mntr, ruok, srvr and stat.")
    static let autopurge = Field(
        "autopurge", AutopurgeSection.section.type, about: "Removal of a server's own old snapshots and logs.")
    static let globalOutstandingLimit = Field<Int>(
        "globalOutstandingLimit", .integer(1...1_000_000), standard: "1000", about: "Requests that may wait in a server.")
    static let maxBuffer = Field<Int>(
        "maxBuffer", .size(1024...(64 << 20)), standard: "1048575",
        about: "Largest node and request (jute.maxbuffer). Clients must be told the same.")
    static let superDigest = Field<String>(
        "superDigest",
        .scalar(
            .object(["type": .string("string"), "pattern": .string("^[^:]+:[A-Za-z0-9+/]{27}=$")]),
            wanted: "user:digest, where the digest is what `printf user:password | openssl sha1 -binary | base64` prints"
        ) { text, _ in isDigest(text) ? text : nil },
        about: "Who may do everything (DigestAuthenticationProvider.superDigest). Without it nobody may.")

    private static func isDigest(_ text: String) -> Bool {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[1].utf8.count == 28, parts[1].hasSuffix("=") else { return false }
        return parts[1].dropLast().allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "/") }
    }

    static let knownWords = [
        "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat",
        "stmk", "wchc", "wchp", "wchs",
    ]
    private static let word = ValueType<String>.scalar(
        .object(["enum": .array((knownWords + ["*"]).map(JSONNode.string))]), wanted: "one of \(listing(knownWords)), or *"
    ) { text, _ in text == "*" || knownWords.contains(text) ? text : nil }

    static let fields = [
        tickTime.erased, initLimit.erased, syncLimit.erased, maxClientConnections.erased, minSessionTimeout.erased,
        maxSessionTimeout.erased, snapCount.erased, fourLetterWords.erased, autopurge.erased,
        globalOutstandingLimit.erased, maxBuffer.erased, superDigest.erased,
    ]
    static let section = Section<ServerSettings>(fields: fields) { reader in
        var settings = ServerSettings()
        reader.set(&settings.tickTime, tickTime)
        reader.set(&settings.initLimit, initLimit)
        reader.set(&settings.syncLimit, syncLimit)
        reader.set(&settings.maxClientConnections, maxClientConnections)
        reader.set(&settings.minSessionTimeout, minSessionTimeout)
        reader.set(&settings.maxSessionTimeout, maxSessionTimeout)
        reader.set(&settings.snapCount, snapCount)
        reader.set(&settings.fourLetterWords, fourLetterWords)
        if let purge = reader.value(autopurge) {
            settings.autopurgeKeep = purge.keep
            settings.autopurgeHours = purge.hours
        }
        reader.set(&settings.globalOutstandingLimit, globalOutstandingLimit)
        reader.set(&settings.maxBuffer, maxBuffer)
        settings.superDigest = reader.value(superDigest)
        return settings
    }
}

enum AutopurgeSection {
    struct Autopurge: Sendable {
        var keep = ServerSettings().autopurgeKeep
        var hours = ServerSettings().autopurgeHours
    }

    static let keep = Field<Int>("keep", .integer(3...1000), standard: "3", about: "Snapshots that stay.")
    static let every = Field<Duration>(
        "every",
        ValueType.duration(.zero ... .seconds(8760 * 3600)).checked { duration in
            duration.inMilliseconds % 3_600_000 == 0
                ? nil : ("\(durationText(duration)) is not a whole number of hours", "write for example 1h, or 0h for never")
        }, standard: "1h", about: "Whole hours between two purges; 0h is never.")

    static let section = Section<Autopurge>(fields: [keep.erased, every.erased]) { reader in
        var purge = Autopurge()
        reader.set(&purge.keep, keep)
        if let every = reader.value(every) { purge.hours = Int(every.inMilliseconds / 3_600_000) }
        return purge
    }
}

/// A member as far as it could be read: checks across members still see what is right of it.
struct MemberDraft: Sendable {
    var path: String
    var id: Int?
    var host: String?
    var clientPort: Int?
    var quorumPort: Int?
    var electionPort: Int?
    var role: MemberRole?
    var dataDirectory: String?
    var logDirectory: String?

    var declaration: MemberDeclaration? {
        guard let id, let host, let clientPort, let quorumPort, let electionPort else { return nil }
        return MemberDeclaration(
            id: id, host: host, clientPort: clientPort, quorumPort: quorumPort, electionPort: electionPort,
            role: role ?? .voter, dataDirectory: dataDirectory, logDirectory: logDirectory)
    }
}

enum MemberSection {
    static let id = Field<Int>("id", .integer(1...254), isRequired: true, about: "Number of the member, 1 to 254.")
    static let host = Field<String>(
        "host",
        .text("^[A-Za-z0-9.:_-]+$", wanted: "a host name or an address, such as 127.0.0.1") { name in
            let others = Set(".:-_".utf8)
            return (1...253).contains(name.utf8.count)
                && name.utf8.allSatisfy { ValueType<String>.isLetterOrDigit($0) || others.contains($0) }
        }, isRequired: true, about: "Name or address at which peers and clients reach it; 127.0.0.1 serves this host alone.")
    static let clientPort = Field<Int>("clientPort", .integer(1...65_535), isRequired: true, about: "Port for clients.")
    static let quorumPort = Field<Int>(
        "quorumPort", .integer(1...65_535), isRequired: true, about: "Port on which a leader serves its followers.")
    static let electionPort = Field<Int>("electionPort", .integer(1...65_535), isRequired: true, about: "Port for elections.")
    static let role = Field<MemberRole>("role", roleType, standard: "voter", about: "Its part in the quorum.")
    static let dataDirectory = Field<String>(
        "dataDirectory", .path, about: "dataDir of the server. Default: members/<id>/data under the cluster's dataDirectory.")
    static let logDirectory = Field<String>(
        "logDirectory", .path, about: "dataLogDir of the server, best on a disk of its own. Default: its dataDirectory.")

    private static let roleType = ValueType<MemberRole>(schema: ValueType<MemberRole>.choice.schema) { node, path, findings in
        if case .scalar("observer", _) = node.content {
            findings.error(path, at: node.mark, "observers are not built yet", remedy: "write voter, or leave the member out")
            return nil
        }
        return ValueType<MemberRole>.choice.read(node, path, &findings)
    }

    static let fields = [
        id.erased, host.erased, clientPort.erased, quorumPort.erased, electionPort.erased, role.erased,
        dataDirectory.erased, logDirectory.erased,
    ]
    static let section = Section<MemberDraft>(fields: fields) { reader in
        var draft = MemberDraft(path: reader.path)
        reader.set(&draft.id, id)
        reader.set(&draft.host, host)
        reader.set(&draft.clientPort, clientPort)
        reader.set(&draft.quorumPort, quorumPort)
        reader.set(&draft.electionPort, electionPort)
        reader.set(&draft.role, role)
        reader.set(&draft.dataDirectory, dataDirectory)
        reader.set(&draft.logDirectory, logDirectory)
        return draft
    }
}
