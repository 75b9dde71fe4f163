import EnsembleBase
import KeeperCore
import KeeperServer
import Testing

@Suite struct ConfigurationTests {
    private func parse(_ text: String, myid: String? = "1\n") -> ConfigurationParser.Outcome {
        ConfigurationParser.parse(Array(text.utf8), file: "zoo.cfg") { path in
            #expect(path == "/data/myid")
            return myid.map { Array($0.utf8) }
        }
    }

    private static let ensemble = """
        tickTime=2000
        initLimit=10
        syncLimit=5
        dataDir=/data
        clientPort=2181
        server.1=a.example:2888:3888
        server.2=[2001:db8::1]:2888:3888;2182
        server.3=c.example:2888:3888
        """

    @Test func anEnsembleAsApacheWouldReadIt() throws {
        let outcome = parse(Self.ensemble)
        let configuration = try #require(outcome.configuration)
        #expect(outcome.problems.isEmpty)
        #expect(configuration.serverID == 1)
        #expect(!configuration.standalone)
        #expect(configuration.tickTime == .seconds(2))
        #expect(configuration.minSessionTimeout == .seconds(4))
        #expect(configuration.maxSessionTimeout == .seconds(40))
        #expect(configuration.logDirectory == "/data")
        #expect(configuration.client == HostPort(host: "0.0.0.0", port: 2181))
        #expect(configuration.allowedWords == .only(["srvr"]))
        #expect(
            configuration.configText == """
                server.1=a.example:2888:3888:participant
                server.2=[2001:db8::1]:2888:3888:participant;0.0.0.0:2182
                server.3=c.example:2888:3888:participant
                version=0
                """)
    }

    @Test func limitsOfSizeAreInBytes() throws {
        let standard = try #require(parse(Self.ensemble).configuration)
        #expect(standard.snapshotSizeLimit == 4 << 30)
        #expect(standard.logSizeLimit == nil)
        let small = try #require(parse(Self.ensemble + "\nsnapSizeLimitInKb=2048\ntxnLogSizeLimitInKb=1024\n").configuration)
        #expect(small.snapshotSizeLimit == 2 << 20)
        #expect(small.logSizeLimit == 1 << 20)
        // What is not above zero switches them off, as with Apache's server.
        let off = parse(Self.ensemble + "\nsnapSizeLimitInKb=0\nzookeeper.txnLogSizeLimitInKb=-1\n")
        #expect(off.problems.isEmpty)
        #expect(off.configuration?.snapshotSizeLimit == .max)
        #expect(off.configuration?.logSizeLimit == nil)
    }

    @Test func withoutServersItStandsAlone() throws {
        let configuration = try #require(parse("dataDir=/data\nclientPort=2181\n", myid: nil).configuration)
        #expect(configuration.standalone)
        #expect(configuration.members.isEmpty)
        #expect(configuration.tickTime == .seconds(3))
    }

    @Test func oneServerStandsAloneUnlessToldOtherwise() throws {
        let one = "dataDir=/data\nclientPort=2181\ninitLimit=5\nsyncLimit=5\nserver.1=a:1:2\n"
        #expect(try #require(parse(one).configuration).standalone)
        #expect(try #require(parse(one + "standaloneEnabled=false\n").configuration).standalone == false)
    }

    @Test(arguments: [
        ("server.4=c:2888", 9, "host:quorumPort:electionPort"),
        ("server.4=c:2888:3888|d:2888:3888", 9, "several addresses"),
        ("server.4=c:2888:99999", 9, "1...65535"),
        ("server.4=c:2888:2888", 9, "must differ"),
        ("server.4=a.example:2888:4888", 9, "same host"),
        ("server.300=d:2888:3888", 9, "0...254"),
        ("server.4=d:2888:3888:observer", 9, "not built"),
        ("server.4=d:2888:3888:leader", 9, "participant or observer"),
        ("electionAlg=0", 9, "only 3"),
        ("forceSync=no", 9, "on disk"),
        ("reconfigEnabled=true", 9, "not built"),
        ("secureClientPort=2281", 9, "TLS"),
        ("ssl.keyStore.location=/k", 9, "TLS"),
        ("quorum.auth.enableSasl=true", 9, "SASL"),
        ("zookeeper.db.autocreate=true", 9, "never votes"),
        ("maxClientCnxns=many", 9, "whole number"),
        ("standaloneEnabled=perhaps", 9, "true or false"),
        ("DigestAuthenticationProvider.superDigest=super", 9, "superDigest"),
        ("peerType=observer", 9, "agree"),
        ("DigestAuthenticationProvider.digestAlg=SHA-256", 9, "only SHA1"),
        ("audit.enable=true", 9, "audit"),
        ("jute.maxbuffer=134217728", 9, "within"),
        ("jute.maxbuffer=0xfffffff", 9, "within"),
        ("jute.maxbuffer=0x-1", 9, "whole number"),
        ("tickTime=0x7d0", 9, "whole number"),
        ("quorum.auth.learnerRequireSasl=true", 9, "SASL"),
        ("server.4=300.1.2.3:2888:3888", 9, "no address"),
        ("server.4=[fe80:::1]:2888:3888", 9, "no address"),
        ("server.4=d..e:2888:3888", 9, "no address"),
        ("clientPortAddress=", 9, "every address"),
        ("clientPortAddress=[::1", 9, "every address"),
        ("clientPortAddress=[127.0.0.1]", 9, "every address"),
        ("clientPortAddress=1.2.3.256", 9, "every address"),
        ("clientPortAddress=a host", 9, "every address"),
        ("autopurge.purgeInterval=1w", 9, "ms, s, m, h or d"),
        ("znode.container.checkIntervalMs=0", 9, "within"),
    ])
    func badValuesAreErrorsWithTheirLine(text: String, line: Int, words: String) {
        let outcome = parse(Self.ensemble + "\n" + text + "\n")
        #expect(outcome.configuration == nil)
        let errors = outcome.problems.filter { $0.severity == .error }
        #expect(errors.count == 1)
        #expect(errors.first?.line == line)
        #expect(errors.first?.message.contains(words) == true, "\(errors)")
    }

    /// Java's Properties is a map; whoever comes from Apache's server has been served by the last.
    @Test func theLastOfTwoCounts() throws {
        let outcome = parse(Self.ensemble + "\ntickTime=1000\nzookeeper.clientPort=2182\nserver.1=d.example:2888:3888\n")
        let configuration = try #require(outcome.configuration)
        #expect(configuration.tickTime == .seconds(1))
        #expect(configuration.client.port == 2182)
        #expect(configuration.members.map(\.host) == ["d.example", "2001:db8::1", "c.example"])
        #expect(outcome.problems.map(\.line) == [1, 5, 6])
        #expect(outcome.problems.allSatisfy { $0.severity == .warning && $0.message.contains("is given again on line") })
    }

    @Test(arguments: [
        ("clientPortAddress=[::1]", "::1"), ("clientPortAddress=::", "::"), ("clientPortAddress=[::]", "::"),
        ("clientPortAddress=fe80::1%eth0", "fe80::1%eth0"), ("clientPortAddress=127.0.0.1", "127.0.0.1"),
        ("clientPortAddress=zk_1.example.", "zk_1.example."), ("", "0.0.0.0"),
    ])
    func addressesAsAPersonWritesThem(line: String, host: String) throws {
        #expect(try #require(parse(Self.ensemble + "\n" + line + "\n").configuration).client.host == host)
    }

    @Test(arguments: [
        ("stat, ruok, conf, isro", ["conf", "isro", "ruok", "srvr", "stat"], 0), ("", ["srvr"], 0),
        ("ruok;stat", ["ruok;stat", "srvr"], 1), ("nope,, ruok,", ["nope", "ruok", "srvr"], 1),
    ])
    func theWhitelistNeverEndsTheStart(value: String, words: [String], warnings: Int) throws {
        let outcome = parse(Self.ensemble + "\n4lw.commands.whitelist=\(value)\n")
        #expect(try #require(outcome.configuration).allowedWords == .only(words))
        #expect(outcome.problems.count == warnings, "\(outcome.problems)")
    }

    /// Where Apache's server reads a system property it takes what Java's Integer.decode does.
    @Test func numbersOfSystemProperties() throws {
        let text = "\njute.maxbuffer=0x3FFFFF\nsnapCount=#100\nglobalOutstandingLimit=0777\nmaxCnxns=+0x10\nsnapSizeLimitInKb=-0x1\n"
        let configuration = try #require(parse(Self.ensemble + text).configuration)
        #expect(configuration.maxFrame == 0x3fffff)
        #expect(configuration.snapCount == 256)
        #expect(configuration.globalOutstandingLimit == 511)
        #expect(configuration.maxConnections == 16)
        #expect(configuration.snapshotSizeLimit == .max)
    }

    @Test func whatIsTooLittleIsRaised() throws {
        let text = "\njute.maxbuffer=100\nsnapCount=1\nautopurge.snapRetainCount=0\nmaxClientCnxns=-1\nmaxCnxns=-1\n"
        let outcome = parse(Self.ensemble + text)
        let configuration = try #require(outcome.configuration)
        #expect(configuration.maxFrame == 1024)
        #expect(configuration.snapCount == 2)
        #expect(configuration.snapRetainCount == 3)
        #expect(configuration.maxClientConnections == 0)
        #expect(configuration.maxConnections == 0)
        #expect(outcome.problems.filter { $0.message.contains("is raised to") }.map(\.line) == [9, 10, 11])
    }

    @Test(arguments: [
        ("24", Duration.seconds(86_400)), ("90m", .seconds(5400)), ("2H", .seconds(7200)), ("1d", .seconds(86_400)),
        ("30s", .seconds(30)), ("500ms", .milliseconds(500)), ("0", nil), ("-1", nil),
    ])
    func purgeIntervals(text: String, interval: Duration?) throws {
        #expect(try #require(parse(Self.ensemble + "\nautopurge.purgeInterval=\(text)\n").configuration).purgeInterval == interval)
    }

    @Test func timesOfConnectionsAndContainersAreObeyed() throws {
        let standard = try #require(parse(Self.ensemble).configuration)
        #expect(standard.machineConfiguration.containerSweepInterval == .seconds(60))
        let text = "\nnio.sessionlessCnxnTimeout=5000\nznode.container.checkIntervalMs=1000\n"
        let outcome = parse(Self.ensemble + text)
        #expect(outcome.problems.isEmpty)
        #expect(outcome.configuration?.machineConfiguration.containerSweepInterval == .seconds(1))
        #expect(outcome.configuration?.sessionlessTimeout == .seconds(5))
    }

    @Test func whatApacheObeysAndThisServerDoesNotIsNamed() {
        let keys = ["largeRequestThreshold", "request_throttle_max_requests", "znode.container.maxPerMinute", "jute.maxbuffer.extrasize"]
        let outcome = parse(Self.ensemble + "\n" + keys.map { $0 + "=1\n" }.joined())
        #expect(outcome.problems.map(\.line) == [9, 10, 11, 12])
        #expect(outcome.problems.allSatisfy { $0.severity == .warning && $0.message.contains("is not obeyed: ") })
        // Without SASL between members these say nothing.
        let threads = parse(Self.ensemble + "\nquorum.cnxn.threads.size=20\nquorum.auth.enableSasl=false\n")
        #expect(threads.configuration != nil)
        #expect(threads.problems.map(\.severity) == [.warning])
    }

    @Test func everyMistakeIsReportedAtOnce() {
        let outcome = parse("tickTime=x\ninitLimit=0\nserver.1=a\nclientPort=70000\n", myid: nil)
        let lines = outcome.problems.filter { $0.severity == .error }.compactMap(\.line)
        #expect(lines == [1, 2, 3, 4])
        #expect(outcome.problems.contains { $0.line == nil && $0.message.contains("dataDir") })
    }

    @Test func unknownKeysAreWarnings() throws {
        let outcome = parse(Self.ensemble + "\nmyOwnKey=1\nmaxSessionTimeOut=3\n")
        #expect(outcome.configuration != nil)
        #expect(outcome.problems.filter { $0.severity == .warning && $0.message.contains("unknown key") }.map(\.line) == [9, 10])
    }

    @Test(arguments: [nil, "", "x", "255", "7"])
    func aWrongMyIDIsAnError(myid: String?) {
        #expect(parse(Self.ensemble, myid: myid).configuration == nil)
    }

    @Test func theSyntaxOfPropertiesFiles() {
        let text = "# c\n! c\n a = 1 \nb:2\nc 3\nd\\=e=x\\\n   y\nf=\\u0041\\t\r\ng"
        let (properties, problems) = PropertiesText.parse(Array(text.utf8))
        #expect(problems.isEmpty)
        #expect(
            properties == [
                Property(key: "a", value: "1", line: 3), Property(key: "b", value: "2", line: 4),
                Property(key: "c", value: "3", line: 5), Property(key: "d=e", value: "xy", line: 6),
                Property(key: "f", value: "A", line: 8), Property(key: "g", value: "", line: 9),
            ])
        #expect(PropertiesText.parse(Array("a=\\u00g0".utf8)).problems.count == 1)
        #expect(PropertiesText.parse(Array("a=\\u+041".utf8)).problems.count == 1)
        #expect(PropertiesText.parse(Array("a=\\u-000".utf8)).problems.count == 1)
        #expect(PropertiesText.parse([0x61, 0x3d, 0xff]).problems.count == 1)
    }

    @Test func exitReportsSurviveTheirLine() {
        let report = ServerExitReport(
            exit: .corruptData, message: "checksum \"x\"\n\\", file: "/data/version-2/log.1", offset: 1234)
        #expect(ServerExitReport(line: "<3>error " + report.line) == report)
        #expect(ServerExitReport(line: "something else") == nil)
    }
}
