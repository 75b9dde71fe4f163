import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperServer

extension FuzzedParser {
    static let configurations: [FuzzedParser] = [
        FuzzedParser("zoo-cfg", "a server's zoo.cfg and myid", seeds: configurationSeeds, check: checkConfiguration),
        FuzzedParser("manifests", "manifests, and the zoo.cfg that follows from them", seeds: manifestSeeds, check: checkManifest),
        FuzzedParser("schedules", "schedules and intervals", seeds: scheduleSeeds, check: checkSchedule),
    ]

    static func bytes(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }

    // MARK: zoo.cfg: the file, a NUL, the content of myid

    private static func configurationSeeds() -> [[UInt8]] {
        let ensemble = """
            tickTime=2000
            initLimit=10
            syncLimit: 5
            dataDir=/var/lib/zookeeper
            dataLogDir = /log
            clientPort=2181
            autopurge.purgeInterval=1
            4lw.commands.whitelist=stat, \\
                mntr
            server.1=[::1]:2888:3888:participant;2181
            server.2=zk2:2888:3888
            # comment
            server.3=zk3:2888:3888;0.0.0.0:2181
            """
        return bytes(
            ensemble + "\n\u{0}1\n", "dataDir=/d\nclientPort=2181\nadmin.enableServer=false\nkey\\u0041=v\\t\r\n",
            "! comment\nclientPort 2181\ndataDir:/d\nmaxClientCnxns=0\nreconfigEnabled=true\n")
    }

    @Sendable private static func checkConfiguration(_ input: [UInt8]) throws(Violation) {
        let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let file = Array(parts[0])
        let outcome = ConfigurationParser.parse(file, file: "zoo.cfg") { _ in parts.count > 1 ? Array(parts[1]) : nil }
        let lines = file.count { $0 == 0x0a || $0 == 0x0d } + 1
        for problem in outcome.problems {
            try require((1...lines).contains(problem.line ?? 1), "\(problem) is on no line of \(lines)")
            try require(!problem.message.isEmpty, "a problem without a word")
        }
        let isWrong = outcome.problems.contains { $0.severity == .error }
        try require((outcome.configuration == nil) == isWrong, "a configuration and errors: \(outcome.problems)")
        guard let configuration = outcome.configuration else { return }
        let machine = configuration.machineConfiguration
        try require(machine.tickTime > .zero && machine.initTimeout > .zero && machine.syncTimeout > .zero, "no time: \(file)")
        try require(machine.minSessionTimeout <= machine.maxSessionTimeout, "no session can have a legal timeout")
        try require(machine.isVoter(machine.serverID), "the server is no voter of its own ensemble")
    }

    // MARK: Manifests

    private static func manifestSeeds() -> [[UInt8]] {
        let members = """
            members:
              - {id: 1, host: 127.0.0.1, clientPort: 2181, quorumPort: 2881, electionPort: 3881}
              - {id: 2, host: 127.0.0.1, clientPort: 2182, quorumPort: 2882, electionPort: 3882}
              - id: 3
                host: "::1"
                clientPort: 2183
                quorumPort: 2883
                electionPort: 3883
                logDirectory: /srv/log

            """
        let small = "cluster: c\nmembers:\n- {id: 1, host: h, clientPort: 1, quorumPort: 2, electionPort: 3}\n"
        let full = """
            cluster: orders # a comment
            engine: bundled
            dataDirectory: /srv/zookeeper
            settings: {tickTime: 2s, initLimit: 10, syncLimit: 5, maxBuffer: 1048575, autopurge: {keep: 5, every: 1h}}
            \(members)backups:
              archive: '/var/backups/orders'
              schedule: "0 3 * * mon-fri"
              mode: live
              retention: {keepLast: 20, keepFor: 7d}
            restart: {initialDelay: 500ms, maximumDelay: 1m, giveUpAfter: 10, within: 10m, soak: 30s}
            reseed: {automatic: true, perMemberPerHour: 1, perDay: 3}
            """
        let apache = "cluster: c\nengine: apache\n\(members)apache: {java: /usr/bin/java, classpath: [/a, /b], heap: 128MiB}\n"
        return bytes(small, full, apache, "cluster: &a b\n*a : c\n", "? [a]\n: b\n---\n...\n", "cluster: \"\\u00e9\\x41\"\n")
    }

    @Sendable private static func checkManifest(_ input: [UInt8]) throws(Violation) {
        // What libyaml takes for the end of a line: LF, CR, NEL, LS and PS, the last three by their last byte.
        let lines = input.count { [0x0a, 0x0d, 0x85, 0xa8, 0xa9].contains($0) } + 2
        let decoded: DecodedManifest
        do throws(ManifestError) {
            decoded = try Manifest.decode(input, file: "m")
        } catch {
            try require(error.findings.contains { !$0.isWarning }, "refused without a reason")
            for finding in error.findings { try check(finding, lines) }
            return
        }
        for finding in decoded.warnings { try check(finding, lines) }
        try requireEqual(try? Manifest.decode(input, file: "m"), decoded, "the same bytes, decoded again")
        try checkRendering(of: decoded.manifest)
        if let schedule = decoded.manifest.backups?.schedule { try check(schedule) }
    }

    private static func check(_ finding: ManifestFinding, _ lines: Int) throws(Violation) {
        try require((1...lines).contains(finding.mark.line), "\(finding) is on no line of \(lines)")
        try require(finding.mark.column >= 1, "\(finding) has no column")
        try require(!finding.description.utf8.contains { $0 < 0x20 }, "a finding with control characters")
    }

    /// What the daemon writes, its own server reads without a complaint.
    private static func checkRendering(of manifest: Manifest) throws(Violation) {
        let layout = HostLayout(stateDirectory: "/state", bundledServer: "/usr/bin/ensemble-server")
        for member in manifest.rendered(on: layout) where manifest.engine == .bundled {
            let outcome = ConfigurationParser.parse(Array(member.configuration.utf8), file: "zoo.cfg") { _ in
                Array(member.identity.utf8)
            }
            let errors = outcome.problems.filter { $0.severity == .error }
            try require(errors.isEmpty, "the server refuses what the manifest allows: \(errors)")
            try requireEqual(outcome.configuration?.dataDirectory, member.dataDirectory, "dataDir")
            try requireEqual(outcome.configuration?.logDirectory, member.logDirectory, "dataLogDir")
        }
    }

    // MARK: Schedules

    private static func scheduleSeeds() -> [[UInt8]] {
        bytes(
            "every 15m", "every 366d", "0 3 * * *", "*/5 0-6,12 1 jan-mar mon", "0 0 29 2 *", "59 23 31 12 7", "0 0 30 2 mon",
            "1-59/7 * * * sun,tue")
    }

    @Sendable private static func checkSchedule(_ input: [UInt8]) throws(Violation) {
        let text = String(decoding: input, as: UTF8.self)
        let schedule: Schedule
        do throws(ScheduleError) {
            schedule = try Schedule(parsing: text)
        } catch {
            return try require((1...text.unicodeScalars.count + 1).contains(error.column), "\(error) is about no place in the text")
        }
        try check(schedule)
    }

    /// It fires again and again, always later.
    private static func check(_ schedule: Schedule) throws(Violation) {
        var time = WallTime(milliseconds: 1_790_000_000_123)
        for _ in 0..<3 {
            let next = schedule.next(after: time)
            try require(next > time, "fires at \(next), which is not after \(time)")
            try require(next - time <= .seconds(41 * 366 * 86_400), "does not fire between \(time) and \(next)")
            time = next
        }
    }
}
