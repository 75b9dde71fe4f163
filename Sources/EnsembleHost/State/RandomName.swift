/// Names and secrets that nobody guesses and no two of which are the same, from the system's randomness.
enum RandomName {
    /// - Parameter words: of 64 bits, each as 16 hexadecimal digits.
    static func hex(words: Int) -> String {
        (0..<words).map { (_: Int) in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
