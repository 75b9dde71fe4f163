/// The password that goes with a session id (reference/zookeeper.md, 1.2): the first 16 bytes of `java.util.Random`
/// seeded with the id. It follows from the id, so it proves nothing; a mixed ensemble needs exactly this one.
package enum SessionPassword {
    private static let superSecret: Int64 = 0xB341_5C00

    /// Sixteen bytes.
    package static func make(for session: SessionID) -> [UInt8] {
        let mask: UInt64 = 1 << 48 - 1
        var state = (UInt64(bitPattern: session ^ superSecret) ^ 0x5_DEEC_E66D) & mask
        var result: [UInt8] = []
        result.reserveCapacity(16)
        for _ in 0..<4 {
            state = (state &* 0x5_DEEC_E66D &+ 0xB) & mask
            var word = UInt32(truncatingIfNeeded: state >> 16)
            for _ in 0..<4 {
                result.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        return result
    }

    package static func matches(_ password: [UInt8], session: SessionID) -> Bool {
        session != 0 && password == make(for: session)
    }
}
