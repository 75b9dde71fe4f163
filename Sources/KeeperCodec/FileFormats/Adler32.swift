/// The checksum of Apache's files (RFC 1950, section 8.2), kept running over a stream.
package struct Adler32: Hashable, Sendable {
    private var a: UInt32 = 1
    private var b: UInt32 = 0

    package init() {}

    /// As it stands in the files: 32 bits in a long.
    package var value: UInt64 { UInt64(b << 16 | a) }

    private static let modulus: UInt32 = 65521
    /// The most bytes that can be added up before `b` may overflow 32 bits.
    private static let deferral = 5552

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        while start < bytes.count {
            let end = min(start + Adler32.deferral, bytes.count)
            for index in start..<end {
                a &+= UInt32(bytes[index])
                b &+= a
            }
            a %= Adler32.modulus
            b %= Adler32.modulus
            start = end
        }
    }

    package mutating func update(_ byte: UInt8) {
        a = (a + UInt32(byte)) % Adler32.modulus
        b = (b + a) % Adler32.modulus
    }

    package static func of(_ bytes: [UInt8]) -> UInt64 {
        var sum = Adler32()
        bytes.withUnsafeBytes { sum.update($0) }
        return sum.value
    }
}
