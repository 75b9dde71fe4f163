import ArgumentParser
import EnsembleControl
import Glibc

/// Options of the verbs that need no daemon.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON instead of text.")
    var json = false
}

/// Options of every verb that talks to the daemon.
struct ConnectionOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Control socket of the daemon. Default: the variable ENSEMBLECTL_SOCKET, else found under /run/ensembled.", valueName: "path"))
    var socket: String?

    @Option(name: .long, help: ArgumentHelp("Cluster, when this host has several.", valueName: "name"))
    var cluster: String?

    @Flag(name: .long, help: "Print the daemon's JSON instead of text.")
    var json = false

    @Flag(name: .long, help: "Show all columns, however narrow the terminal is.")
    var wide = false

    @Flag(name: .customLong("no-color"), help: "Do not colour the output (nor with NO_COLOR set).")
    var noColor = false

    /// The options of a connection belong to the verbs; `ensemblectl --socket X status` is how people write it all the
    /// same. Those that stand before the verb are moved behind it; anything else is left to the parser.
    static func behindTheVerb(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        scan: while let first = rest.first {
            switch first {
            case "--json", "--no-color", "--wide":
                leading.append(rest.removeFirst())
            case "--socket", "--cluster":
                guard rest.count >= 2 else { break scan }
                leading += rest.prefix(2)
                rest = rest.dropFirst(2)
            case _ where first.hasPrefix("--socket=") || first.hasPrefix("--cluster="):
                leading.append(rest.removeFirst())
            default:
                break scan
            }
        }
        guard rest.first.map({ !$0.hasPrefix("-") }) ?? false else { return arguments }
        // What follows "--" is no option any more.
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return Array(rest[..<end]) + leading + Array(rest[end...])
    }

    var style: Style { Style.forOutput(noColor: noColor, isWide: wide) }

    func client() throws(CommandFailure) -> ControlClient {
        let found = SocketDirectory(path: SocketDirectory.standardPath).clusters()
        return ControlClient(path: try socketPath(variable: environment("ENSEMBLECTL_SOCKET"), found: found))
    }

    /// The socket to use: `--socket`, else `--cluster`, else the variable, else the only cluster of the host.
    func socketPath(variable: String?, found: [String]) throws(CommandFailure) -> String {
        if let socket { return socket }
        if let cluster { return SocketDirectory.socket(of: cluster) }
        if let variable, !variable.isEmpty { return variable }
        switch found.count {
        case 1: return SocketDirectory.socket(of: found[0])
        case 0:
            throw CommandFailure(
                .unreachable, "no daemon has a socket under \(SocketDirectory.standardPath)",
                remedy: "start one (systemctl start ensembled@<cluster>), or name its socket with --socket")
        default:
            throw CommandFailure(
                .unreachable, "this host has several clusters: \(found.joined(separator: ", "))", remedy: "choose one with --cluster")
        }
    }
}

/// Where daemons put their sockets: `<directory>/<cluster>/control.sock`.
struct SocketDirectory {
    static let standardPath = "/run/ensembled"

    let path: String

    static func socket(of cluster: String) -> String { "\(standardPath)/\(cluster)/control.sock" }

    /// Names of the clusters that have a socket, sorted.
    func clusters() -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard !name.hasPrefix("."), access("\(path)/\(name)/control.sock", F_OK) == 0 else { continue }
            names.append(name)
        }
        return names.sorted()
    }
}
