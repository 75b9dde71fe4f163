import Crypto
import EnsembleBase
import KeeperCore

/// What an `auth` request's credential proves (reference/zookeeper.md, 1.6). Hashing is the hands' work: the core sees
/// identities only.
package enum Credentials {
    /// nil if the scheme is unknown or what it needs is null: the request fails and the connection is closed.
    package static func identities(
        scheme: ByteString, credential: [UInt8]?, superDigest: ByteString?, address: ByteString
    ) -> [Identity]? {
        switch scheme {
        case "digest":
            guard let credential else { return nil }
            let digest = digest(of: credential)
            let proved = Identity(scheme: "digest", id: digest)
            guard let superDigest, digest == superDigest else { return [proved] }
            return [Identity(scheme: "super", id: ""), proved]
        case "ip":
            return [Identity(scheme: "ip", id: address)]
        default:
            return nil
        }
    }

    /// `user:password` → `user:base64(sha1(user:password))`. Without a colon all of it is the user, as in Apache's server.
    package static func digest(of credential: [UInt8]) -> ByteString {
        var hash = Insecure.SHA1()
        credential.withUnsafeBytes { hash.update(bufferPointer: $0) }
        let user = credential.prefix { $0 != UInt8(ascii: ":") }
        return ByteString(user + [UInt8(ascii: ":")] + base64(Array(hash.finalize())))
    }

    /// RFC 4648, section 4, with padding.
    static func base64(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for offset in 0..<3 { bits = bits << 8 | UInt32(offset < group.count ? group[start + offset] : 0) }
            for position in 0..<4 {
                let index = Int(bits >> UInt32(18 - 6 * position)) & 63
                out.append(position <= group.count ? alphabet[index] : UInt8(ascii: "="))
            }
        }
        return out
    }
}
