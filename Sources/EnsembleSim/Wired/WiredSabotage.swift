import KeeperCore
import NIOConcurrencyHelpers
import NIOCore

/// Deliberate bugs between a machine and its sockets, at the seam: what the handlers are given, and what they have done, is
/// made what it would be if they had that bug.
final class WiredSabotage: Sendable {
    let bug: DeliberateBug?
    private let occasions = NIOLockedValueBox(0)

    init(_ bug: DeliberateBug?) { self.bug = bug }

    /// Every so many occasions, beginning with one of the first.
    private func isDue(_ wanted: DeliberateBug, oneIn count: Int) -> Bool {
        guard bug == wanted else { return false }
        return occasions.withLockedValue { occasions in
            occasions += 1
            return occasions % count == 0
        }
    }

    /// A handler reads what the socket had when more was on its way.
    func read(_ bytes: ByteBuffer, isCut: Bool) -> ByteBuffer {
        guard isCut, bytes.readableBytes > 1, isDue(.cutFrameForgotten, oneIn: 20) else { return bytes }
        return bytes.getSlice(at: bytes.readerIndex, length: bytes.readableBytes - 1) ?? bytes
    }

    /// The socket has taken a part of a write: whether the next begins with what it took.
    var repeatsWrite: Bool { isDue(.partialWriteRepeated, oneIn: 3) }

    /// Whether a socket that was not read is never read again.
    var forgetsToRead: Bool { isDue(.readingNeverResumed, oneIn: 4) }

    func step(_ actions: inout [KeeperAction]) {
        guard bug != nil else { return }
        var result: [KeeperAction] = []
        for action in actions {
            switch action {
            case .closeClient where bug == .connectionOutlivesSession: continue
            case .reply where isDue(.replyTwice, oneIn: 300): result += [action, action]
            default: result.append(action)
            }
        }
        actions = result
    }
}
