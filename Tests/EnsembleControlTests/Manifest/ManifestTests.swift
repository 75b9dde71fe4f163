import EnsembleBase
import EnsembleControl
import Foundation
import Testing

@Suite struct ManifestTests {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "manifests")

    static func example(_ name: String) throws -> DecodedManifest {
        let bytes = Array(try Data(contentsOf: directory.appending(path: name)))
        return try Manifest.decode(bytes, file: name)
    }

    @Test func everyExampleIsRight() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.directory.path()).sorted()
        #expect(names == ["apache.yaml", "demo.yaml", "production.yaml"])
        for name in names { #expect(try Self.example(name).warnings == []) }
    }

    @Test func theDemoIsWhatItSays() throws {
        let manifest = try Self.example("demo.yaml").manifest
        #expect(manifest.cluster == "demo")
        #expect(manifest.engine == .bundled)
        #expect(manifest.members.map(\.clientPort) == [21811, 21812, 21813])
        #expect(manifest.settings.tickTime == .milliseconds(500))
        #expect(manifest.backups?.schedule == .every(.seconds(10)))
        #expect(manifest.backups?.retention.keepLast == 5)
        #expect(manifest.backups?.archive == nil)
        #expect(manifest.restart.soak == .seconds(2))
        #expect(manifest.quorumSize == 2)
    }

    @Test func everyKeyIsRead() throws {
        let text = """
            cluster: c
            engine: apache
            dataDirectory: /srv//zk/
            settings: {tickTime: 3s, initLimit: 11, syncLimit: 6, maxClientCnxns: 7, minSessionTimeout: 8s,
              maxSessionTimeout: 90s, snapCount: 10, fourLetterWords: [cons], autopurge: {keep: 12, every: 13h},
              globalOutstandingLimit: 14, maxBuffer: 2MiB,
              superDigest: "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="}
            members:
            - {id: 5, host: zk.example, clientPort: 1, quorumPort: 2, electionPort: 3, role: voter, dataDirectory: /d, logDirectory: /l}
            backups: {archive: /b, schedule: "0 3 * * *", mode: cold, source: any, retention: {keepLast: 15, keepFor: 16d},
              compressionLevel: 17, verify: false}
            restart: {initialDelay: 1s, maximumDelay: 18s, giveUpAfter: 3, within: 20m, soak: 21s}
            reseed: {automatic: false, perMemberPerHour: 2, perDay: 22}
            limits: {openFiles: 1024, stopTimeout: 23s}
            apache: {java: /j, classpath: [/x, /y], heap: 1GiB, jvmFlags: [-XX:+UseG1GC]}
            operator: {socketGroup: zk, socketMode: "600"}
            """
        var settings = ServerSettings()
        settings.tickTime = .seconds(3)
        settings.initLimit = 11
        settings.syncLimit = 6
        settings.maxClientConnections = 7
        settings.minSessionTimeout = .seconds(8)
        settings.maxSessionTimeout = .seconds(90)
        settings.snapCount = 10
        settings.fourLetterWords = ["cons"]
        settings.autopurgeKeep = 12
        settings.autopurgeHours = 13
        settings.globalOutstandingLimit = 14
        settings.maxBuffer = 2 << 20
        settings.superDigest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
        var restart = RestartPolicy()
        restart.initialDelay = .seconds(1)
        restart.maximumDelay = .seconds(18)
        restart.giveUpAfter = 3
        restart.within = .seconds(1200)
        restart.soak = .seconds(21)
        var reseed = ReseedPolicy()
        reseed.automatic = false
        reseed.perMemberPerHour = 2
        reseed.perDay = 22
        var limits = Limits()
        limits.openFiles = 1024
        limits.stopTimeout = .seconds(23)
        var apache = ApacheSettings()
        apache.java = "/j"
        apache.classpath = ["/x", "/y"]
        apache.heap = 1 << 30
        apache.jvmFlags = ["-XX:+UseG1GC"]
        var access = OperatorAccess()
        access.socketGroup = "zk"
        access.socketMode = 0o600
        let expected = Manifest(
            cluster: "c", engine: .apache, dataDirectory: "/srv/zk", settings: settings,
            members: [
                MemberDeclaration(
                    id: 5, host: "zk.example", clientPort: 1, quorumPort: 2, electionPort: 3, dataDirectory: "/d",
                    logDirectory: "/l")
            ],
            backups: BackupSettings(
                archive: "/b", schedule: try Schedule(parsing: "0 3 * * *"), mode: .cold, source: .any,
                retention: try RetentionPolicy(keepLast: 15, keepFor: .seconds(16 * 86_400)), compressionLevel: 17,
                verify: false),
            restart: restart, reseed: reseed, limits: limits, apache: apache, operatorAccess: access)
        #expect(try Manifest.decode(Array(text.utf8), file: "m.yaml").manifest == expected)
    }

    /// The defaults that the schema tells an editor are those that the decoder uses.
    @Test func documentedDefaultsAreTheDefaults() throws {
        let schema = try #require(
            try JSONSerialization.jsonObject(with: Data(Manifest.jsonSchema.utf8)) as? [String: Any])
        let head = "cluster: c\nmembers:\n- {id: 1, host: localhost, clientPort: 1, quorumPort: 2, electionPort: 3}\n"
        let bare = try Manifest.decode(Array((head + "backups: {schedule: every 1h}\n").utf8), file: "m").manifest
        let sections = try #require(schema["properties"] as? [String: Any])
        var text = head
        var defaults = 0
        func write(_ properties: [String: Any], indent: String) {
            for key in properties.keys.sorted() where key != "members" {
                guard let property = properties[key] as? [String: Any] else { continue }
                let about = property["description"] as? String ?? ""
                if let inner = property["properties"] as? [String: Any] {
                    text += "\(indent)\(key):\n"
                    if key == "backups" { text += "\(indent)  schedule: every 1h\n" }
                    write(inner, indent: indent + "  ")
                } else if let range = about.range(of: " Default: "), !about[range.upperBound...].contains(" ") || about.hasSuffix("].") {
                    text += "\(indent)\(key): \(about[range.upperBound...].dropLast())\n"
                    defaults += 1
                }
            }
        }
        write(sections, indent: "")
        // A section of which no default is known would be written as a key without a value.
        #expect(defaults > 25)
        #expect(try Manifest.decode(Array(text.utf8), file: "m").manifest == bare)
    }

    @Test func randomDamageNeverCrashes() throws {
        let names = ["apache.yaml", "demo.yaml", "production.yaml"]
        let originals = try names.map { Array(try Data(contentsOf: Self.directory.appending(path: $0))) }
        var random = SeededRandom(seed: 20)
        var accepted = 0
        for round in 0..<3000 {
            var bytes = originals[round % originals.count]
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(Array("[]{}:&*!|>-\n\"' 0".utf8).randomElement(using: &random) ?? 0, at: place)
                case 3: bytes.removeSubrange(place..<min(place + 40, bytes.count))
                default: bytes.insert(contentsOf: bytes[place..<min(place + 60, bytes.count)], at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            do throws(ManifestError) {
                let decoded = try Manifest.decode(bytes, file: "m")
                let layout = HostLayout(stateDirectory: "/s", bundledServer: "/e")
                // What was accepted can be rendered, and stays inside the alphabet of zoo.cfg.
                #expect(decoded.manifest.rendered(on: layout).allSatisfy { $0.configuration.utf8.allSatisfy { $0 < 0x7F } })
                accepted += 1
            } catch {
                #expect(!error.findings.isEmpty)
                #expect(error.findings.allSatisfy { !$0.description.contains("\n") })
            }
        }
        // Damage to comments and numbers leaves many of them right: otherwise the loop tests nothing but refusal.
        #expect(accepted > 100)
    }
}
