import EnsembleBase
import EnsembleControl
import Testing

@Suite struct MemberRenderingTests {
    private let layout = HostLayout(stateDirectory: "/var/lib/ensembled/c", bundledServer: "/usr/bin/ensemble-server")

    private func manifest(_ engine: Engine, members: Int = 3) -> Manifest {
        Manifest(
            cluster: "c", engine: engine,
            members: (1...members).reversed().map {
                MemberDeclaration(
                    id: $0, host: "127.0.0.1", clientPort: 2180 + $0, quorumPort: 2880 + $0, electionPort: 3880 + $0,
                    logDirectory: $0 == 2 ? "/log" : nil)
            })
    }

    @Test func bundledConfiguration() {
        let member = manifest(.bundled).rendered(on: layout)[1]
        #expect(
            member.configuration == """
                # Member 2 of c, written by ensembled from the manifest. Changes here are overwritten.
                tickTime=2000
                initLimit=10
                syncLimit=5
                minSessionTimeout=4000
                maxSessionTimeout=40000
                dataDir=/var/lib/ensembled/c/members/2/data
                dataLogDir=/log
                snapCount=100000
                autopurge.snapRetainCount=3
                autopurge.purgeInterval=1
                db.autocreate=false
                clientPort=2182
                clientPortAddress=127.0.0.1
                maxClientCnxns=60
                globalOutstandingLimit=1000
                jute.maxbuffer=1048575
                4lw.commands.whitelist=conf, isro, mntr, ruok, srvr, stat
                admin.enableServer=false
                standaloneEnabled=false
                reconfigEnabled=false
                quorumListenOnAllIPs=false
                server.1=127.0.0.1:2881:3881:participant
                server.2=127.0.0.1:2882:3882:participant
                server.3=127.0.0.1:2883:3883:participant

                """)
        #expect(member.identity == "2\n")
        #expect(member.identityFile == "/var/lib/ensembled/c/members/2/data/myid")
        // E7: Apache's server looks for it beside the log.
        #expect(member.initializeFile == "/log/initialize")
        #expect(member.launch.executable == "/usr/bin/ensemble-server")
        #expect(member.launch.arguments == ["/var/lib/ensembled/c/members/2/zoo.cfg"])
    }

    @Test func apacheConfigurationAndCommand() {
        var manifest = manifest(.apache, members: 1)
        manifest.settings.fourLetterWords = ["cons"]
        manifest.members[0].host = "fd00::1"
        manifest.apache.jvmFlags = ["-XX:+UseSerialGC"]
        let member = manifest.rendered(on: layout)[0]
        #expect(
            member.configuration == """
                # Member 1 of c, written by ensembled from the manifest. Changes here are overwritten.
                tickTime=2000
                initLimit=10
                syncLimit=5
                minSessionTimeout=4000
                maxSessionTimeout=40000
                dataDir=/var/lib/ensembled/c/members/1/data
                snapCount=100000
                autopurge.snapRetainCount=3
                autopurge.purgeInterval=1
                db.autocreate=false
                clientPort=2181
                maxClientCnxns=60
                globalOutstandingLimit=1000
                4lw.commands.whitelist=conf, cons, isro, mntr, ruok, srvr, stat
                admin.enableServer=false
                standaloneEnabled=false
                reconfigEnabled=false
                quorumListenOnAllIPs=true
                server.1=[fd00::1]:2881:3881:participant

                """)
        #expect(member.launch.executable == "/usr/bin/java")
        #expect(
            member.launch.arguments == [
                "-cp", "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
                "-Xms536870912", "-Xmx536870912", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseSerialGC",
                "-Djava.awt.headless=true", "-Dzookeeper.log.dir=/var/lib/ensembled/c/members/1",
                "-Dzookeeper.root.logger=INFO,CONSOLE", "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "-Djute.maxbuffer=1048575",
                "-Dzookeeper.db.autocreate=false", "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                "/var/lib/ensembled/c/members/1/zoo.cfg",
            ])
    }

    /// S2, for both engines and any manifest: an empty directory never votes.
    @Test(arguments: Engine.allCases) func autocreateIsAlwaysOff(_ engine: Engine) {
        var manifest = manifest(engine)
        manifest.apache.jvmFlags = ["-Dzookeeper.db.autocreate=true"]
        for member in manifest.rendered(on: layout) {
            #expect(member.configuration.contains("\ndb.autocreate=false\n"))
            guard engine == .apache else { continue }
            // The last definition of a property is the one that a JVM takes.
            let last = member.launch.arguments.last { $0.hasPrefix("-Dzookeeper.db.autocreate=") }
            #expect(last == "-Dzookeeper.db.autocreate=false")
        }
    }

    @Test func nothingIsInheritedFromTheDaemon() {
        let launch = manifest(.apache).rendered(on: layout)[0].launch
        #expect(launch.environment == ["LANG=C.UTF-8", "PATH=/usr/bin:/bin"])
    }

    @Test func fingerprintIsStable() {
        // A change of this number makes every upgrade of the daemon restart every member: change it knowingly.
        #expect(manifest(.bundled).fingerprint(on: layout).description == "5b4d9e5aedadee61")
        var fingerprint = Fingerprint()
        fingerprint.combine("a")
        fingerprint.combine("bc")
        var other = Fingerprint()
        other.combine("ab")
        other.combine("c")
        #expect(fingerprint != other)
    }

    @Test func hosts() {
        #expect(HostName.isLoopback("127.0.0.1") && HostName.isLoopback("LOCALHOST") && HostName.isLoopback("::1"))
        #expect(!HostName.isLoopback("127.example.org") && !HostName.isLoopback("10.0.0.1"))
        var manifest = manifest(.bundled)
        manifest.members[0].host = "Zk1.example."
        #expect(manifest.foreignMembers(ownNames: ["zk1.example"]).isEmpty)
        #expect(manifest.foreignMembersError(ownNames: ["zk1.example"]) == nil)
        #expect(
            manifest.foreignMembersError(ownNames: ["zk2"])?.message
                == "not on this host: member 3 on Zk1.example.. A cluster of several hosts is not built yet: one daemon runs all members"
        )
    }
}
