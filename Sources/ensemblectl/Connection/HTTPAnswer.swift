/// An answer of the control API, parsed from all the bytes that came until the daemon closed the connection.
struct HTTPAnswer: Hashable {
    var status: Int
    var body: [UInt8]

    /// No answer of the API is larger; whoever sends more is not the daemon.
    static let maximumBytes = 32 << 20

    /// Nil when the bytes are no complete answer.
    init?(_ bytes: [UInt8]) {
        guard let headEnd = HTTPAnswer.position(of: Array("\r\n\r\n".utf8), in: bytes, from: 0) else { return nil }
        let lines = String(decoding: bytes[..<headEnd], as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]), (100...599).contains(status) else {
            return nil
        }
        self.status = status
        let rest = Array(bytes[(headEnd + 4)...])
        var length: Int?
        var isChunked = false
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "content-length":
                guard let number = Int(value), number >= 0 else { return nil }
                length = number
            case "transfer-encoding": isChunked = value.lowercased() == "chunked"
            default: break
            }
        }
        if isChunked {
            guard let body = HTTPAnswer.joinChunks(rest) else { return nil }
            self.body = body
        } else if let length {
            guard rest.count >= length else { return nil }
            body = Array(rest[..<length])
        } else {
            body = rest
        }
    }

    private static func joinChunks(_ bytes: [UInt8]) -> [UInt8]? {
        var body: [UInt8] = []
        var position = 0
        while let lineEnd = self.position(of: [0x0D, 0x0A], in: bytes, from: position) {
            let text = String(decoding: bytes[position..<lineEnd], as: UTF8.self)
            guard let size = Int(text.prefix { $0 != ";" }, radix: 16), size >= 0, size <= maximumBytes else { return nil }
            if size == 0 { return body }
            let start = lineEnd + 2
            guard bytes.count >= start + size + 2 else { return nil }
            body += bytes[start..<start + size]
            position = start + size + 2
        }
        return nil
    }

    private static func position(of mark: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= mark.count + start else { return nil }
        return (start...bytes.count - mark.count).first { bytes[$0..<$0 + mark.count].elementsEqual(mark) }
    }
}
