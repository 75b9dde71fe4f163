import EnsembleBase

/// Room in the memory budget for large frames whose end has not come.
///
/// What was read of a frame can't be given back, so the room for all of it is taken before more than its beginning is
/// read. Who finds none waits, unread, in the order of asking. Who has room and sends nothing while others wait for it is
/// cut off: his frame would be held for as long as he likes. Loop-bound.
final class FrameRoom {
    private let turn: LoopTurn
    /// In the order of asking; one that was closed meanwhile is passed over.
    private var line = FIFO<ClientConnection>()
    private var waiting = 0
    private var granted = 0
    /// Bytes that those who wait had sent already. They come and go with their turn, so they take nobody's.
    private var parked = 0

    /// For so many looks, a second, may who has room send nothing while others wait: TCP has sent a lost segment three
    /// times by then.
    static let patience = 10
    /// Bytes from one look to the next that a frame comes at (64 KiB a second), or its room is for somebody quicker.
    static let leastPace = 6554

    init(turn: LoopTurn) { self.turn = turn }

    /// What a connection has of it.
    enum Share: Hashable {
        /// → granted, waiting
        case none
        /// → granted, none
        case waiting(size: Int, parked: Int)
        /// → none
        case granted(size: Int)

        var size: Int { if case .granted(let size) = self { size } else { 0 } }
        var isWaiting: Bool { if case .waiting = self { true } else { false } }
    }

    /// Whether somebody waits.
    var isWanted: Bool { waiting > 0 }

    /// Whether a further one may begin to wait: the beginnings of frames are bounded as well.
    var mayWait: Bool { parked < turn.budget.limit / 4 }

    /// The share of a connection that has sent `begun` of `size` bytes.
    func ask(_ connection: ClientConnection, size: Int, begun: Int) -> Share {
        if !isWanted, fits(size) {
            granted += 1
            return .granted(size: size)
        }
        waiting += 1
        parked += begun
        line.append(connection)
        return .waiting(size: size, parked: begun)
    }

    /// The frame is whole, or its connection closed.
    func give(back share: Share) {
        switch share {
        case .none: return
        case .waiting(_, let begun):
            waiting -= 1
            parked -= begun
        case .granted: granted -= 1
        }
        admit()
    }

    /// Lets in whoever is first, as long as it fits.
    func admit() {
        while isWanted, let first = line.first {
            guard case .waiting(let size, let begun) = first.room else {
                _ = line.popFirst()
                continue
            }
            guard fits(size) else { return }
            _ = line.popFirst()
            waiting -= 1
            parked -= begun
            granted += 1
            first.gotRoom(size)
        }
    }

    /// A frame of any size comes in alone, once others hold less than all.
    private func fits(_ size: Int) -> Bool {
        let held = turn.budget.held - parked
        return held + size <= turn.budget.limit || (granted == 0 && held < turn.budget.limit)
    }
}
