/// A parser of bytes from outside, and what must hold of it whatever the bytes are. Besides what `check` compares, no
/// input may trap, hang or use memory out of proportion: that is for whoever runs it to see.
package struct FuzzedParser: Sendable {
    /// In commands, and the folder of its corpus.
    package let name: String
    /// What it reads, in a few words.
    package let about: String
    /// Inputs as a conforming writer makes them: where the fuzzer starts from. The same on every call.
    package let seeds: @Sendable () -> [[UInt8]]
    /// Reads one input and compares what must be equal.
    package let check: @Sendable ([UInt8]) throws(Violation) -> Void

    package init(
        _ name: String, _ about: String, seeds: @escaping @Sendable () -> [[UInt8]],
        check: @escaping @Sendable ([UInt8]) throws(Violation) -> Void
    ) {
        self.name = name
        self.about = about
        self.seeds = seeds
        self.check = check
    }

    package static let all: [FuzzedParser] = wire + files + configurations + records + conversations

    package static func named(_ name: String) -> FuzzedParser? { all.first { $0.name == name } }
}

/// Something that must hold of a parser and did not.
package struct Violation: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Violation) {
    if !holds { throw Violation(what()) }
}

func requireEqual<Value: Equatable>(_ a: Value, _ b: Value, _ what: @autoclosure () -> String) throws(Violation) {
    if a != b { throw Violation("\(what()): \(a) is not \(b)") }
}
