import ArgumentParser
import FoundationEssentials
import KeeperClient

extension Operation: ExpressibleByArgument {}

extension ConnectString: ExpressibleByArgument {
    public init?(argument: String) { try? self.init(argument) }
}

struct MeasureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure", abstract: "Throughput and latency of one kind of request.")

    @Option(help: "host:port,… ; connections are spread over them in turn.")
    var servers: ConnectString
    @Option(help: "Connections, each with a session of its own.")
    var connections = 1
    @Option(help: "Requests without answers per connection.")
    var outstanding = 1
    @Option(help: "get, set, create or mixed (70 % get, 25 % set, 5 % create).")
    var op = Operation.get
    @Option(help: "Seconds to measure.")
    var seconds = 5.0
    @Option(name: .customLong("warm-up"), help: "Seconds before measuring begins.")
    var warmUp = 0.5
    @Option(help: "Bytes of data per node.")
    var size = 100
    @Option(help: "Nodes that are read and set.")
    var keys = 1000
    @Flag(help: "Print JSON instead of a line.")
    var json = false

    func validate() throws {
        guard (1...10_000).contains(connections), (1...100_000).contains(outstanding), (1...1_000_000).contains(keys),
            (0...1_000_000).contains(size), seconds > 0, warmUp >= 0
        else {
            throw ValidationError("connections, outstanding, keys and seconds must be positive, size at most 1000000")
        }
    }

    func run() throws {
        let generator = WireGenerator(
            servers: servers.servers, connections: connections, outstanding: outstanding, seconds: seconds, warmUp: warmUp)
        let root = "/load-" + String(UInt64.random(in: .min ... .max), radix: 36)
        let workload = Workload(op, root: root, keys: keys, size: size)
        try generator.prepare(workload)
        let result = try generator.run(workload)
        if json {
            print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
        } else {
            print(
                "\(result.operation) \(connections)x\(outstanding): \(Int(result.throughput)) req/s, "
                    + "p50 \(Int(result.p50)) µs, p99 \(Int(result.p99)) µs, p999 \(Int(result.p999)) µs, "
                    + "max \(Int(result.maximum)) µs, \(result.errors) errors, \(result.broken) broken connections")
        }
    }
}
