import EnsembleBase

/// Where the daemon lives on its host: what rendering needs to know beside the manifest.
package struct HostLayout: Hashable, Sendable {
    /// Absolute directory of the daemon's state. It belongs to one cluster.
    package var stateDirectory: String
    /// Absolute path of `ensemble-server`.
    package var bundledServer: String

    package init(stateDirectory: String, bundledServer: String) {
        self.stateDirectory = stateDirectory
        self.bundledServer = bundledServer
    }
}

/// One member as it should be on disk and as a process: everything needed to launch it, and nothing that changes by
/// itself. Equal inputs give equal bytes.
package struct RenderedMember: Hashable, Sendable, Codable {
    package var id: Int
    package var declaration: MemberDeclaration
    package var engine: Engine
    /// `<dataDirectory>/members/<id>`: holds what follows, unless the manifest moved it. The working directory.
    package var home: String
    /// `dataDir`: `myid`, `version-2/` and the epoch files.
    package var dataDirectory: String
    /// `dataLogDir`; the same as `dataDirectory` unless the manifest separates them.
    package var logDirectory: String
    package var configurationFile: String
    package var configuration: String
    package var identityFile: String
    /// Text of `myid`.
    package var identity: String
    /// File that allows this member, once, to begin with an empty tree and vote. Apache's server looks for it in
    /// **dataLogDir**, although its documentation says dataDir (reference/operators.md, E7). Only the first start of a
    /// new cluster may create it (S2).
    package var initializeFile: String
    /// What the server prints goes here.
    package var outputFile: String
    package var launch: LaunchCommand
    /// Of everything above that a running server would notice; see `Fingerprint`.
    package var fingerprint: Fingerprint
    /// How long the server may take to stop.
    package var stopTimeout: Duration

    package init(
        id: Int, declaration: MemberDeclaration, engine: Engine, home: String, dataDirectory: String,
        logDirectory: String, configurationFile: String, configuration: String, identityFile: String, identity: String,
        initializeFile: String, outputFile: String, launch: LaunchCommand, fingerprint: Fingerprint,
        stopTimeout: Duration
    ) {
        self.id = id
        self.declaration = declaration
        self.engine = engine
        self.home = home
        self.dataDirectory = dataDirectory
        self.logDirectory = logDirectory
        self.configurationFile = configurationFile
        self.configuration = configuration
        self.identityFile = identityFile
        self.identity = identity
        self.initializeFile = initializeFile
        self.outputFile = outputFile
        self.launch = launch
        self.fingerprint = fingerprint
        self.stopTimeout = stopTimeout
    }
}

/// Where a server listens for clients.
package struct ClientAddress: Hashable, Sendable, Codable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// As in a connect string: `zk1:2181`, `[::1]:2181`.
    package var description: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
}

extension RenderedMember {
    /// Where a server that is started now will listen; one that runs may listen where an earlier manifest said.
    package var clientAddress: ClientAddress { ClientAddress(host: declaration.host, port: declaration.clientPort) }
}

package struct LaunchCommand: Hashable, Sendable, Codable {
    /// Absolute path.
    package var executable: String
    /// Without the executable itself.
    package var arguments: [String]
    /// The whole environment, `NAME=value`, sorted: nothing is inherited from the daemon.
    package var environment: [String]
    /// `RLIMIT_NOFILE`; nil: inherited.
    package var openFiles: Int?
    /// `RLIMIT_AS` in bytes; nil: no limit.
    package var addressSpace: Int?

    package init(
        executable: String, arguments: [String], environment: [String], openFiles: Int? = nil, addressSpace: Int? = nil
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.openFiles = openFiles
        self.addressSpace = addressSpace
    }
}

/// FNV-1a, 64 bits, over rendered text: tells whether two renderings differ, on any host and in any version. It is no
/// protection against someone who wants a collision; whoever may write the manifest may do worse.
package struct Fingerprint: Hashable, Sendable, Codable, CustomStringConvertible {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    /// Adds a part and its length, so that moving a byte from one part to the next changes the result.
    package mutating func combine(_ part: String) {
        for byte in part.utf8 { mix(byte) }
        var count = UInt64(part.utf8.count)
        for _ in 0..<8 {
            mix(UInt8(truncatingIfNeeded: count))
            count >>= 8
        }
    }

    package mutating func combine(_ parts: [String]) {
        for part in parts { combine(part) }
        combine("\(parts.count)")
    }

    private mutating func mix(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

    /// Sixteen hexadecimal digits.
    package var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
