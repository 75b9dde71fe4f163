import FoundationEssentials
import Glibc

/// A file of one JSON object per line. Each line is one `write` in append mode, so that several recorders may share
/// the file and none needs a lock.
struct HistoryFile: Sendable {
    private let descriptor: Int32

    init(appendingTo path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw WireError.system(path) }
    }

    func append(_ record: HistoryRecord) throws {
        var line = Array(try JSONEncoder().encode(record))
        line.append(UInt8(ascii: "\n"))
        guard write(descriptor, line, line.count) == line.count else { throw WireError.system("write of the history") }
    }

    /// All records of a file. Throws with the line's number if one cannot be read.
    static func records(of path: String) throws -> [HistoryRecord] {
        guard let data = FileManager.default.contents(atPath: path) else { throw WireError("\(path): cannot be read") }
        let decoder = JSONDecoder()
        return try data.split(separator: UInt8(ascii: "\n")).enumerated().map { index, line in
            do { return try decoder.decode(HistoryRecord.self, from: Data(line)) } catch {
                throw WireError("\(path):\(index + 1): \(error)")
            }
        }
    }
}
