import FuzzedParsers
import Glibc

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// `fuzz list`, `fuzz seed DIRECTORY`, `FUZZED_PARSER=NAME fuzz [libFuzzer's arguments]`. See scripts/fuzz.
@main
private enum Fuzz {
    /// Here, since libFuzzer's callback can capture nothing; from the environment, since libFuzzer starts the program again
    /// with the arguments that it knows.
    private static let parser = getenv("FUZZED_PARSER").flatMap { FuzzedParser.named(String(cString: $0)) }

    static func main() {
        switch CommandLine.arguments.dropFirst().first {
        case "list": for parser in FuzzedParser.all { print("\(parser.name)\t\(parser.about)") }
        case "seed" where CommandLine.arguments.count == 3: seed(CommandLine.arguments[2])
        case _ where parser != nil: exit(run())
        default:
            print("usage: fuzz list | fuzz seed DIRECTORY | FUZZED_PARSER=NAME fuzz [ARGUMENT...]")
            exit(64)
        }
    }

    private static func run() -> CInt {
        var arguments = CommandLine.unsafeArgv
        var count = CommandLine.argc
        return runDriver(&count, &arguments, testOneInput)
    }

    fileprivate static func check(_ input: [UInt8]) {
        do throws(Violation) { try parser?.check(input) } catch { fatalError(error.description) }
    }

    private static func seed(_ directory: String) {
        for parser in FuzzedParser.all {
            mkdir("\(directory)/\(parser.name)", 0o755)
            for (index, seed) in parser.seeds().enumerated() {
                guard let file = fopen("\(directory)/\(parser.name)/seed-\(index)", "w") else { continue }
                fwrite(seed, 1, seed.count, file)
                fclose(file)
            }
        }
    }
}

/// libFuzzer's own `main`, which the linker brings along, asks for the name.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Fuzz.check(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}
