import EnsembleControl
import Testing

/// Every mistake is reported at once, at its place, with what would be right.
@Suite struct BadManifestTests {
    private static let good = "cluster: c\nmembers:\n- {id: 1, host: localhost, clientPort: 1, quorumPort: 2, electionPort: 3}\nbackups: {schedule: every 1h}\n"

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var expected: [String]
        var testDescription: String { name }
    }

    @Test(arguments: documents + values + relations)
    func messages(_ example: Case) {
        do throws(ManifestError) {
            let decoded = try Manifest.decode(Array(example.text.utf8), file: "m.yaml")
            #expect(decoded.warnings.map(\.description) == example.expected)
        } catch {
            #expect(error.findings.map(\.description) == example.expected)
        }
    }

    @Test func badBytesAreFoundByOffset() {
        let bytes = Array("cluster: c\nengine: ".utf8) + [0xFF]
        #expect(throws: ManifestError(findings: [
            ManifestFinding(
                file: "m.yaml", mark: TextMark(line: 2, column: 9), path: "",
                problem: "a byte that is not text (invalid leading UTF-8 octet)",
                remedy: "save the file as UTF-8 without control characters")
        ])) { try Manifest.decode(bytes, file: "m.yaml") }
    }

    @Test func aFileThatIsTooLargeIsNotParsed() {
        let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: (1 << 20) + 1)
        #expect(throws: ManifestError.self) { try Manifest.decode(bytes, file: "m.yaml") }
    }

    @Test func deepNestingIsRefused() {
        let text = String(repeating: "[", count: 5000)
        do throws(ManifestError) {
            _ = try Manifest.decode(Array(text.utf8), file: "m.yaml")
            Issue.record("accepted")
        } catch {
            #expect(error.description == "m.yaml:1:33: nested deeper than 32 levels; a manifest is flatter")
        }
    }

    private static let documents = [
        Case(name: "empty", text: "", expected: ["m.yaml:1:1: the file declares nothing; begin with 'cluster: <name>'"]),
        Case(
            name: "a list", text: "- 1\n",
            expected: [
                "m.yaml:1:1: a list is not right here; write a mapping with cluster, engine, dataDirectory, settings, members, backups, restart, reseed, limits, apache and operator"
            ]),
        Case(
            name: "two documents", text: good + "---\ncluster: d\n",
            expected: ["m.yaml:5:1: a second document begins here; put one cluster in one file"]),
        Case(
            name: "anchor", text: "cluster: &a c\n",
            expected: ["m.yaml:1:10: an anchor (&name); leave it out: a manifest has no aliases"]),
        Case(
            name: "alias", text: "cluster: *a\n",
            expected: ["m.yaml:1:10: an alias (*name); write the value out: a manifest has no aliases"]),
        Case(
            name: "tag", text: "cluster: !!str c\n",
            expected: ["m.yaml:1:10: a tag (!name); leave it out: the type follows from the key"]),
        Case(
            name: "key that is a list", text: "[a]: b\n",
            expected: ["m.yaml:1:1: a key that is not a word; every key is a plain word"]),
        Case(
            name: "no YAML", text: "cluster: c\n  engine: apache\n",
            expected: [
                "m.yaml:2:9: not YAML: mapping values are not allowed in this context; check indentation, colons and quotes here and in the line above"
            ]),
        Case(
            name: "duplicate key", text: good + "cluster: d\n",
            expected: ["m.yaml:5:1: cluster: this key is already at line 1; keep one of the two"]),
        Case(
            name: "missing keys", text: "engine: bundled\nbackups: {schedule: every 1h}\n",
            expected: [
                "m.yaml:1:1: the key \"cluster\" is missing; add it: Name of the cluster, also of its systemd instance.",
                "m.yaml:1:1: the key \"members\" is missing; add it: The members of the cluster.",
            ]),
        Case(
            name: "typo, misplaced and unknown keys", text: good + "setings: {}\ntickTime: 2s\ncolour: red\n",
            expected: [
                "m.yaml:5:1: setings: there is no such key; did you mean \"settings\"?",
                "m.yaml:6:1: tickTime: there is no such key; \"tickTime\" belongs under settings",
                "m.yaml:7:1: colour: there is no such key; known here: cluster, engine, dataDirectory, settings, members, backups, restart, reseed, limits, apache and operator",
            ]),
        Case(
            name: "no value", text: good + "engine:\n",
            expected: ["m.yaml:5:1: engine: it has no value; write one, or leave the key out"]),
    ]

    private static let values = [
        Case(
            name: "all at once",
            text: """
                cluster: Orders
                engine: zk
                dataDirectory: data
                settings: {tickTime: 2, initLimit: "10", syncLimit: 010, snapCount: 1, fourLetterWords: [cons, boom]}
                members:
                - {id: 300, host: "a b", clientPort: 70000, quorumPort: 2, electionPort: 3, role: observer}
                backups: {schedule: "0 3 * *", verify: yes, compressionLevel: 20}
                """,
            expected: [
                "m.yaml:1:10: cluster: \"Orders\" is not right here; write 1 to 63 of a-z, 0-9 and -, with no - at either end",
                "m.yaml:2:9: engine: \"zk\" is not right here; write bundled or apache",
                "m.yaml:3:16: dataDirectory: \"data\" is not right here; write an absolute path of letters, digits and /._-+@,=~, such as /var/lib/zookeeper",
                "m.yaml:4:22: settings.tickTime: \"2\" is not right here; write a duration from 10ms to 1m, such as 500ms or 2s",
                "m.yaml:4:36: settings.initLimit: \"10\" is not right here; write a whole number from 1 to 10000",
                "m.yaml:4:53: settings.syncLimit: \"010\" is not right here; write a whole number from 1 to 10000",
                "m.yaml:4:69: settings.snapCount: \"1\" is not right here; write a whole number from 2 to 100000000",
                "m.yaml:4:96: settings.fourLetterWords[1]: \"boom\" is not right here; write one of conf, cons, crst, dirs, dump, envi, gtmk, hash, isro, mntr, ruok, srst, srvr, stat, stmk, wchc, wchp and wchs, or *",
                "m.yaml:6:8: members[0].id: \"300\" is not right here; write a whole number from 1 to 254",
                "m.yaml:6:19: members[0].host: \"a b\" is not right here; write a host name or an address, such as 127.0.0.1",
                "m.yaml:6:38: members[0].clientPort: \"70000\" is not right here; write a whole number from 1 to 65535",
                "m.yaml:6:83: members[0].role: observers are not built yet; write voter, or leave the member out",
                "m.yaml:7:29: backups.schedule: a cron schedule has 5 fields, not 4; write 'every 15m' or five cron fields: minute hour day month weekday (UTC)",
                "m.yaml:7:40: backups.verify: \"yes\" is not right here; write true or false",
                "m.yaml:7:63: backups.compressionLevel: \"20\" is not right here; write a whole number from 1 to 19",
            ]),
        Case(
            name: "a path that leaves", text: good + "dataDirectory: /srv/../etc\n",
            expected: [
                "m.yaml:5:16: dataDirectory: \"/srv/../etc\" is not right here; write an absolute path of letters, digits and /._-+@,=~, such as /var/lib/zookeeper"
            ]),
        Case(
            name: "flags that break safety rules",
            text: good
                + "engine: apache\napache: {jvmFlags: [-Dzookeeper.db.autocreate=true, -Dzookeeper.forceSync=no, -Xmx1g, Main]}\n",
            expected: [
                "m.yaml:6:21: apache.jvmFlags[0]: a member that lost its data would vote and lose acknowledged writes; leave it out",
                "m.yaml:6:53: apache.jvmFlags[1]: acknowledged writes would not be on the disk; leave it out",
                "m.yaml:6:79: apache.jvmFlags[2]: the heap is set by apache.heap; use apache.heap",
                "m.yaml:6:87: apache.jvmFlags[3]: \"Main\" is not right here; write a flag of the JVM without blanks",
            ]),
        Case(
            name: "a socket for everyone", text: good + "operator: {socketMode: 0666}\n",
            expected: [
                "m.yaml:5:24: operator.socketMode: every user of the host could stop the cluster; let the last digit be 0"
            ]),
        Case(
            name: "purge interval", text: good + "settings: {autopurge: {every: 90m}}\n",
            expected: [
                "m.yaml:5:31: settings.autopurge.every: 90m is not a whole number of hours; write for example 1h, or 0h for never"
            ]),
        Case(
            name: "control characters do not reach the terminal", text: good + "\"a\\e[31m\": 1\n",
            expected: [
                "m.yaml:5:1: a\u{FFFD}[31m: there is no such key; known here: cluster, engine, dataDirectory, settings, members, backups, restart, reseed, limits, apache and operator"
            ]),
    ]

    private static let relations = [
        Case(
            name: "duplicates on one host",
            text: """
                cluster: c
                members:
                - {id: 1, host: localhost, clientPort: 1, quorumPort: 2, electionPort: 3}
                - {id: 1, host: 127.0.0.1, clientPort: 4, quorumPort: 4, electionPort: 2}
                - {id: 3, host: 127.0.0.1, clientPort: 7, quorumPort: 8}
                backups: {schedule: every 1h}
                """,
            expected: [
                "m.yaml:4:8: members[1].id: 1 is already the id of members[0]; every member has its own",
                "m.yaml:4:55: members[1].quorumPort: 4 on 127.0.0.1 is already members[1].clientPort; every port of a host is used once",
                "m.yaml:4:72: members[1].electionPort: 2 on 127.0.0.1 is already members[0].quorumPort; every port of a host is used once",
                "m.yaml:5:3: members[2]: the key \"electionPort\" is missing; add it: Port for elections.",
            ]),
        Case(
            name: "no voters", text: "cluster: c\nmembers: []\nbackups: {schedule: every 1h}\n",
            expected: [
                "m.yaml:2:10: members: there are no voters: nothing can be written; declare three members, or one to try"
            ]),
        Case(
            name: "an even number",
            text: good.replacing(
                "backups", with: "- {id: 2, host: localhost, clientPort: 4, quorumPort: 5, electionPort: 6}\nbackups"),
            expected: [
                "m.yaml:3:1: warning: members: an even number: 2 voters survive the loss of 0, as 1 would; declare 1 or 3"
            ]),
        Case(
            name: "timeouts", text: good + "settings: {minSessionTimeout: 60s}\n",
            expected: [
                "m.yaml:5:31: settings.minSessionTimeout: the shortest session (1m) is longer than the longest (40s); set minSessionTimeout to at most maxSessionTimeout (the defaults are 2 and 20 ticks)"
            ]),
        Case(
            name: "delays", text: good + "restart: {initialDelay: 2m}\n",
            expected: [
                "m.yaml:5:25: restart.initialDelay: the first delay (2m) is longer than the longest (1m); set initialDelay to at most maximumDelay"
            ]),
        Case(
            name: "never gives up", text: good + "restart: {within: 1m}\n",
            expected: [
                "m.yaml:5:10: warning: restart.giveUpAfter: 10 deaths cannot happen within 1m: the waits between them are longer, so the daemon never gives up; raise within to more than 147s, or lower giveUpAfter"
            ]),
        Case(
            name: "memory of a JVM", text: good + "engine: apache\nlimits: {memory: 1GiB}\n",
            expected: [
                "m.yaml:6:18: limits.memory: a JVM reserves far more address space than it uses and would not start; limit it with apache.heap"
            ]),
        Case(
            name: "loopback and elsewhere",
            text: good.replacing(
                "backups", with: "- {id: 2, host: b, clientPort: 4, quorumPort: 5, electionPort: 6}\n- {id: 3, host: c, clientPort: 4, quorumPort: 5, electionPort: 6}\nbackups"),
            expected: [
                "m.yaml:3:17: members[0].host: localhost means another host to the members that are elsewhere; give every member an address at which all others reach it"
            ]),
        Case(
            name: "shared directories",
            text: """
                cluster: c
                members:
                - {id: 1, host: localhost, clientPort: 1, quorumPort: 2, electionPort: 3, dataDirectory: /a}
                - {id: 2, host: localhost, clientPort: 4, quorumPort: 5, electionPort: 6, dataDirectory: //a/b/}
                - {id: 3, host: localhost, clientPort: 7, quorumPort: 8, electionPort: 9, dataDirectory: /ab}
                backups: {schedule: every 1h, archive: /ab/archive}
                """,
            expected: [
                "m.yaml:4:90: members[1].dataDirectory: /a/b and /a (members[0].dataDirectory) share files; use directories of which neither is inside the other",
                "m.yaml:5:90: members[2].dataDirectory: /ab and /ab/archive (backups.archive) share files; use directories of which neither is inside the other",
            ]),
        Case(
            name: "warnings alone", text: good.replacing("backups: {schedule: every 1h}\n", with: "apache: {}\nsettings: {fourLetterWords: [wchp]}\n"),
            expected: [
                "m.yaml:1:1: warning: there are no backups: a member that loses its data cannot be reseeded from one; add backups, such as 'backups: {schedule: every 15m}'",
                "m.yaml:4:9: warning: apache: it has no effect with engine: bundled; remove it, or write engine: apache",
                "m.yaml:5:30: warning: settings.fourLetterWords[0]: it can stall a server that has many watches, and any client may ask (CVE-2017-5637); list only the words you need",
            ]),
    ]
}
