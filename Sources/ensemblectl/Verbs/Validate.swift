import ArgumentParser
import EnsembleControl
import Glibc

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a manifest without a daemon: every mistake at once, by line and column.")

    @Argument(help: "The manifest.")
    var file: String?

    @Flag(name: .long, help: "Print a JSON Schema of manifests, for editors, and exit.")
    var schema = false

    func validate() throws {
        if !schema && file == nil { throw ValidationError("Name a manifest, or use --schema.") }
    }

    func run() throws {
        if schema { return StandardStream.output.write(Manifest.jsonSchema) }
        guard let file else { return }
        let bytes = try readWhole(file)
        do throws(ManifestError) {
            let decoded = try Manifest.decode(bytes, file: file)
            for warning in decoded.warnings { StandardStream.error.write(printable("\(warning)") + "\n") }
            StandardStream.output.write(Self.verdict(decoded.manifest))
        } catch {
            for finding in error.findings { StandardStream.error.write(printable("\(finding)") + "\n") }
            let count = error.findings.filter { !$0.isWarning }.count
            throw CommandFailure("\(file) has \(count) mistake\(count == 1 ? "" : "s")", remedy: "")
        }
    }

    static func verdict(_ manifest: Manifest) -> String {
        let voters = manifest.voters.count
        let backups = manifest.backups == nil ? "no backups" : "backups"
        return "\(manifest.cluster): \(voters) member\(voters == 1 ? "" : "s"), engine \(manifest.engine.rawValue), \(backups): right\n"
    }

    /// At most what a manifest may have, and one byte, so that the decoder sees that it is too large.
    private func readWhole(_ file: String) throws -> [UInt8] {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure("cannot open \(file): \(String(cString: strerror(errno)))", remedy: "name a manifest that you may read")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= 1 << 20 {
            let count = block.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            guard count > 0 else {
                throw CommandFailure("cannot read \(file): \(String(cString: strerror(errno)))", remedy: "name a manifest")
            }
            bytes += block[..<count]
        }
        return bytes
    }
}
