import EnsembleBase

enum BackupSection {
    static let archive = Field<String>(
        "archive", .path, about: "Directory of the archive, best on another disk. Default: archive in the state directory.")
    static let schedule = Field<Schedule>(
        "schedule", .schedule, isRequired: true, about: "\"every 15m\", or five cron fields in UTC such as \"0 3 * * *\".")
    static let mode = Field<CaptureMode>(
        "mode", .choice, standard: "live", about: "live copies from a running member; cold stops a follower for it.")
    static let source = Field<CaptureSource>(
        "source", .choice, standard: "follower", about: "Member that a backup is taken from.")
    static let retention = Field("retention", RetentionSection.section.type, about: "Which backups stay.")
    static let compressionLevel = Field<Int>(
        "compressionLevel", .integer(1...19), standard: "3", about: "Level of zstd, 1 (fast) to 19 (small).")
    static let verify = Field<Bool>(
        "verify", .boolean, standard: "true",
        about: "Read back and replay every backup once it is complete; only verified ones are used without a person.")

    static let maximumAge = Field<Duration>(
        "maximumAge", .duration(.seconds(1) ... .seconds(3650 * 86_400)),
        about: "How old the newest verified backup may become before ensemblectl check alarms. Default: an hour behind the date at which the next was due.")

    static let fields = [
        archive.erased, schedule.erased, mode.erased, source.erased, retention.erased, compressionLevel.erased,
        verify.erased, maximumAge.erased,
    ]
    /// Nil when the schedule is absent or wrong, which has then been complained about.
    static let section = Section<BackupSettings?>(fields: fields) { reader in
        let archive = reader.value(archive)
        let mode = reader.value(mode)
        let source = reader.value(source)
        let retention = reader.value(retention) ?? RetentionSection.standard
        let level = reader.value(compressionLevel)
        let verify = reader.value(verify)
        let maximumAge = reader.value(maximumAge)
        guard let schedule = reader.value(schedule), let retention else { return nil }
        return BackupSettings(
            archive: archive, schedule: schedule, mode: mode ?? .live, source: source ?? .follower,
            retention: retention, compressionLevel: level ?? 3, verify: verify ?? true, maximumAge: maximumAge)
    }
}

enum RetentionSection {
    static let keepLast = Field<Int>(
        "keepLast", .integer(1...100_000), standard: "24", about: "The newest this many stay.")
    static let keepFor = Field<Duration>(
        "keepFor", .duration(.seconds(1) ... .seconds(3650 * 86_400)), about: "Backups younger than this stay too.")

    static let fields = [keepLast.erased, keepFor.erased]
    static let standard = try? RetentionPolicy(keepLast: 24)
    static let section = Section<RetentionPolicy?>(fields: fields) { reader in
        let keepLast = reader.value(keepLast) ?? 24
        let keepFor = reader.value(keepFor)
        // Both were read from ranges that the policy allows.
        return try? RetentionPolicy(keepLast: keepLast, keepFor: keepFor)
    }
}

enum RestartSection {
    private static let delay = ValueType.duration(.milliseconds(10) ... .seconds(86_400))
    static let initialDelay = Field<Duration>(
        "initialDelay", delay, standard: "500ms", about: "Wait before the first restart; doubled after each further death.")
    static let maximumDelay = Field<Duration>("maximumDelay", delay, standard: "1m", about: "The longest wait.")
    static let giveUpAfter = Field<Int>(
        "giveUpAfter", .integer(1...1000), standard: "10", about: "Deaths within `within` after which it is left alone.")
    static let within = Field<Duration>(
        "within", .duration(.seconds(1) ... .seconds(86_400)), standard: "10m", about: "The time in which deaths are counted.")
    static let soak = Field<Duration>(
        "soak", .duration(.zero ... .seconds(3600)), standard: "5s",
        about: "How long a restarted member must participate without lag before it counts as whole.")

    static let fields = [initialDelay.erased, maximumDelay.erased, giveUpAfter.erased, within.erased, soak.erased]
    static let section = Section<RestartPolicy>(fields: fields) { reader in
        var policy = RestartPolicy()
        reader.set(&policy.initialDelay, initialDelay)
        reader.set(&policy.maximumDelay, maximumDelay)
        reader.set(&policy.giveUpAfter, giveUpAfter)
        reader.set(&policy.within, within)
        reader.set(&policy.soak, soak)
        return policy
    }
}

enum ReseedSection {
    static let automatic = Field<Bool>(
        "automatic", .boolean, standard: "true", about: "Bring a member whose data is lost back without a person.")
    static let perMemberPerHour = Field<Int>(
        "perMemberPerHour", .integer(1...60), standard: "1", about: "Reseeds of one member in any hour.")
    static let perDay = Field<Int>("perDay", .integer(1...1000), standard: "3", about: "Reseeds of all members in any 24 hours.")

    static let fields = [automatic.erased, perMemberPerHour.erased, perDay.erased]
    static let section = Section<ReseedPolicy>(fields: fields) { reader in
        var policy = ReseedPolicy()
        reader.set(&policy.automatic, automatic)
        reader.set(&policy.perMemberPerHour, perMemberPerHour)
        reader.set(&policy.perDay, perDay)
        return policy
    }
}

enum LimitsSection {
    static let openFiles = Field<Int>(
        "openFiles", .integer(256...1_048_576), about: "Open files of a server. Default: as the daemon.")
    static let memory = Field<Int>(
        "memory", .size((64 << 20)...(1 << 40)), about: "Address space of a bundled server. Default: no limit.")
    static let stopTimeout = Field<Duration>(
        "stopTimeout", .duration(.seconds(1) ... .seconds(3600)), standard: "30s",
        about: "How long a server may take to stop before it is killed.")

    static let frozenTimeout = Field<Duration>(
        "frozenTimeout", .duration(.seconds(1) ... .seconds(3600)), standard: "5s",
        about: "How long a server may be stopped by a signal, with nobody tracing it, before it is ended.")

    static let fields = [openFiles.erased, memory.erased, stopTimeout.erased, frozenTimeout.erased]
    static let section = Section<Limits>(fields: fields) { reader in
        var limits = Limits()
        reader.set(&limits.openFiles, openFiles)
        reader.set(&limits.memory, memory)
        reader.set(&limits.stopTimeout, stopTimeout)
        reader.set(&limits.frozenTimeout, frozenTimeout)
        return limits
    }
}

enum ApacheSection {
    static let java = Field<String>("java", .path, standard: "/usr/bin/java", about: "The Java launcher.")
    static let classpath = Field<[String]>(
        "classpath", .list(of: .path, limit: 64, wanted: "a list of paths"),
        standard: "[\(ApacheSettings().classpath.joined(separator: ", "))]", about: "Directories and archives, in order.")
    static let heap = Field<Int>("heap", .size((64 << 20)...(1 << 40)), standard: "512MiB", about: "Heap of the JVM.")
    static let jvmFlags = Field<[String]>(
        "jvmFlags", .list(of: jvmFlag, limit: 64, wanted: "a list of flags, such as [-XX:+UseG1GC]"), standard: "[]",
        about: "Further flags of the JVM.")

    private static let jvmFlag = ValueType<String>.text("^-[!-~]+$", wanted: "a flag of the JVM without blanks") { text in
        text.hasPrefix("-") && text.utf8.count <= 1024 && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }.checked { flag in
        forbidden.first { flag.hasPrefix($0.prefix) }.map { ($0.problem, $0.remedy) }
    }

    /// Flags that would break a safety rule, or that fight with what is rendered from the manifest.
    private static let forbidden: [(prefix: String, problem: String, remedy: String)] = [
        // S2: an empty directory would vote.
        ("-Dzookeeper.db.autocreate", "a member that lost its data would vote and lose acknowledged writes", "leave it out"),
        ("-Dzookeeper.snapshot.trust.empty", "a member with a damaged snapshot would start as if it were new", "leave it out"),
        // S1: a power failure of a majority would lose what was acknowledged.
        ("-Dzookeeper.forceSync", "acknowledged writes would not be on the disk", "leave it out"),
        ("-Xmx", "the heap is set by apache.heap", "use apache.heap"),
        ("-Xms", "the heap is set by apache.heap", "use apache.heap"),
        ("-Djute.maxbuffer", "it is set by settings.maxBuffer", "use settings.maxBuffer"),
        ("-cp", "the class path is set by apache.classpath", "use apache.classpath"),
        ("-classpath", "the class path is set by apache.classpath", "use apache.classpath"),
        ("--class-path", "the class path is set by apache.classpath", "use apache.classpath"),
        ("-jar", "the daemon names the main class itself", "leave it out"),
    ]

    static let fields = [java.erased, classpath.erased, heap.erased, jvmFlags.erased]
    static let section = Section<ApacheSettings>(fields: fields) { reader in
        var settings = ApacheSettings()
        reader.set(&settings.java, java)
        reader.set(&settings.classpath, classpath)
        reader.set(&settings.heap, heap)
        reader.set(&settings.jvmFlags, jvmFlags)
        return settings
    }
}

enum OperatorSection {
    static let socketGroup = Field<String>(
        "socketGroup",
        .text("^[a-z_][a-z0-9_-]{0,31}$", wanted: "the name of a group, such as zookeeper") { name in
            let others = Set("_-".utf8)
            guard let first = name.utf8.first, first == UInt8(ascii: "_") || (0x61...0x7A).contains(first) else { return false }
            return name.utf8.count <= 32
                && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || others.contains($0) }
        }, about: "Group that owns the control socket. Default: the daemon's.")
    static let socketMode = Field<UInt32>(
        "socketMode",
        ValueType<UInt32>.scalar(
            .object(["type": .array([.string("string"), .string("integer")])]), wanted: "octal permission bits, such as 0660"
        ) { text, _ in
            (3...4).contains(text.utf8.count) ? UInt32(text, radix: 8).flatMap { $0 <= 0o777 ? $0 : nil } : nil
        }.checked { mode in
            if mode & 0o007 != 0 { return ("every user of the host could stop the cluster", "let the last digit be 0") }
            if mode & 0o600 != 0o600 { return ("the daemon itself could not use its socket", "let the owner's digit be 6") }
            return nil
        }, standard: "0660", about: "Permission bits of the control socket.")

    static let fields = [socketGroup.erased, socketMode.erased]
    static let section = Section<OperatorAccess>(fields: fields) { reader in
        var access = OperatorAccess()
        reader.set(&access.socketGroup, socketGroup)
        reader.set(&access.socketMode, socketMode)
        return access
    }
}
