import CLinux
import EnsembleBase
import EnsembleControl
import FoundationEssentials
import Glibc
import KeeperStorage
import NIOConcurrencyHelpers

/// What happened, for `ensemblectl events`: the newest in memory, and on disk in two files of bounded size.
package final class EventLog: Sendable {
    package static let memoryLimit = 2000
    package static let fileLimit: off_t = 4 << 20

    private struct State {
        var events: [EventRecord] = []
        var next: UInt64 = 1
    }

    private let file: String
    private let state = NIOLockedValueBox(State())

    package init(file: String) {
        self.file = file
        let decoder = JSONDecoder()
        var old: [EventRecord] = []
        for name in [file + ".1", file] {
            guard let bytes = try? Directory.content(of: name) else { continue }
            // A line that was torn by a crash doesn't parse and is left out.
            old += bytes.split(separator: UInt8(ascii: "\n")).compactMap {
                try? decoder.decode(EventRecord.self, from: Data($0))
            }
        }
        let events = Array(old.suffix(Self.memoryLimit))
        state.withLockedValue {
            $0.events = events
            $0.next = (events.last?.sequence ?? 0) + 1
        }
    }

    /// Remembers it. The file has it when it was written (`write`).
    package func append(_ note: Note, at time: WallTime) -> EventRecord {
        state.withLockedValue { state in
            let event = EventRecord(
                sequence: state.next, at: time, severity: note.severity, code: note.code.rawValue, member: note.member,
                message: note.message)
            state.next += 1
            state.events.append(event)
            if state.events.count > Self.memoryLimit { state.events.removeFirst(state.events.count - Self.memoryLimit) }
            return event
        }
    }

    package func after(_ sequence: UInt64, limit: Int) -> EventsResponse {
        state.withLockedValue { state in
            let found = state.events.filter { $0.sequence > sequence }.prefix(limit)
            let first = state.events.first?.sequence ?? state.next
            return EventsResponse(
                events: Array(found), next: found.last?.sequence ?? max(sequence, state.next - 1),
                missed: sequence > 0 && sequence + 1 < first)
        }
    }

    /// The latest that concern a member, oldest first.
    package func latest(of member: Int, limit: Int) -> [EventRecord] {
        state.withLockedValue { Array($0.events.filter { $0.member == member }.suffix(limit)) }
    }

    /// Blocks, and is called in the events' order by one thread at a time. Not synced: an event that a power failure takes
    /// is a loss for the reader, not for safety.
    package func write(_ event: EventRecord) {
        guard let line = try? JSONEncoder().encode(event) else { return }
        var status = stat()
        if stat(file, &status) == 0, status.st_size > Self.fileLimit { rename(file, file + ".1") }
        let descriptor = clx_open(file, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(line) + [UInt8(ascii: "\n")]
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }
}
