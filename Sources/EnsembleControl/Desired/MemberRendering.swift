import EnsembleBase

extension Manifest {
    /// Every member as it should be, in ascending order of ids.
    package func rendered(on layout: HostLayout) -> [RenderedMember] {
        members.sorted { $0.id < $1.id }.map { render($0, on: layout) }
    }

    /// Directory of the archive.
    package func archiveDirectory(on layout: HostLayout) -> String {
        backups?.archive ?? layout.stateDirectory + "/archive"
    }

    /// Where data that a reseed or restore replaced is kept (S6). On the same file system as the members' homes, so
    /// that moving there is a rename; what a member keeps on another file system goes to `quarantine` beside it.
    package func quarantineDirectory(on layout: HostLayout) -> String {
        (dataDirectory ?? layout.stateDirectory) + "/quarantine"
    }

    /// One number for the whole manifest as rendered: what `status` shows.
    package func fingerprint(on layout: HostLayout) -> Fingerprint {
        var fingerprint = Fingerprint()
        for member in rendered(on: layout) { fingerprint.combine(member.fingerprint.description) }
        return fingerprint
    }

    private func render(_ member: MemberDeclaration, on layout: HostLayout) -> RenderedMember {
        let home = (dataDirectory ?? layout.stateDirectory) + "/members/\(member.id)"
        let data = member.dataDirectory ?? home + "/data"
        let log = member.logDirectory ?? data
        let file = home + "/zoo.cfg"
        let configuration = ServerConfiguration(manifest: self, member: member, dataDirectory: data, logDirectory: log)
        let launch = launchCommand(member, home: home, configurationFile: file, on: layout)
        let identity = "\(member.id)\n"
        var fingerprint = Fingerprint()
        fingerprint.combine(configuration.text)
        fingerprint.combine(identity)
        fingerprint.combine(launch.executable)
        fingerprint.combine(launch.arguments)
        fingerprint.combine(launch.environment)
        fingerprint.combine("\(launch.openFiles ?? 0) \(launch.addressSpace ?? 0)")
        return RenderedMember(
            id: member.id, declaration: member, engine: engine, home: home, dataDirectory: data, logDirectory: log,
            configurationFile: file, configuration: configuration.text, identityFile: data + "/myid",
            identity: identity, initializeFile: log + "/initialize", outputFile: home + "/server.log", launch: launch,
            fingerprint: fingerprint, stopTimeout: limits.stopTimeout)
    }

    private func launchCommand(
        _ member: MemberDeclaration, home: String, configurationFile: String, on layout: HostLayout
    ) -> LaunchCommand {
        switch engine {
        case .bundled:
            LaunchCommand(
                executable: layout.bundledServer, arguments: [configurationFile],
                environment: ["LANG=C.UTF-8", "PATH=/usr/bin:/bin"], openFiles: limits.openFiles,
                addressSpace: limits.memory)
        case .apache:
            LaunchCommand(
                executable: apache.java, arguments: apacheArguments(home: home, configurationFile: configurationFile),
                environment: ["LANG=C.UTF-8", "PATH=/usr/bin:/bin"], openFiles: limits.openFiles,
                // A JVM reserves far more addresses than it uses: its limit is the heap.
                addressSpace: nil)
        }
    }

    private func apacheArguments(home: String, configurationFile: String) -> [String] {
        var arguments = ["-cp", apache.classpath.joined(separator: ":")]
        arguments += ["-Xms\(apache.heap)", "-Xmx\(apache.heap)"]
        // A JVM that is out of memory half works, which no probe can judge; one that ends is restarted.
        arguments += ["-XX:+ExitOnOutOfMemoryError"]
        arguments += apache.jvmFlags
        // Among several -D of one name the last counts, so ours come after the manifest's.
        arguments += [
            "-Djava.awt.headless=true",
            "-Dzookeeper.log.dir=\(home)",
            "-Dzookeeper.root.logger=INFO,CONSOLE",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-Djute.maxbuffer=\(settings.maxBuffer)",
            // S2: without this, Apache's server takes an empty data directory for a new cluster and votes with
            // zxid 0; acknowledged writes are then lost (reference/operators.md, E1: 5 runs of 5).
            "-Dzookeeper.db.autocreate=false",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            configurationFile,
        ]
        return arguments
    }
}
