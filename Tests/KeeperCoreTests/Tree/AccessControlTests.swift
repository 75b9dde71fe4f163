import EnsembleBase
import KeeperCore
import Testing

@Suite struct AccessControlTests {
    private func right(_ scheme: ByteString, _ id: ByteString, _ permissions: Permissions = .all) -> AccessRight {
        AccessRight(permissions: permissions, identity: Identity(scheme: scheme, id: id))
    }

    private func allows(_ list: [AccessRight], _ scheme: ByteString, _ id: ByteString) -> Bool {
        AccessControl.allows(list, .read, to: [Identity(scheme: scheme, id: id)])
    }

    @Test func networks() {
        #expect(allows([right("ip", "10.1.2.3")], "ip", "10.1.2.3"))
        #expect(!allows([right("ip", "10.1.2.3")], "ip", "10.1.2.4"))
        #expect(allows([right("ip", "10.1.2.3/8")], "ip", "10.200.0.1"))
        #expect(!allows([right("ip", "10.1.2.3/8")], "ip", "11.1.2.3"))
        #expect(allows([right("ip", "10.1.0.0/15")], "ip", "10.0.9.9"))
        #expect(!allows([right("ip", "10.1.0.0/15")], "ip", "10.2.9.9"))
        #expect(allows([right("ip", "0.0.0.0/0")], "ip", "1.2.3.4"))
        #expect(allows([right("ip", "2001:db8::/33")], "ip", "2001:db8:7fff::1"))
        #expect(!allows([right("ip", "2001:db8::/33")], "ip", "2001:db8:8000::1"))
        #expect(allows([right("ip", "::1")], "ip", "0:0:0:0:0:0:0:1"))
        #expect(!allows([right("ip", "0.0.0.0/0")], "ip", "::1"))
    }

    @Test func rightsAndSchemes() {
        let list = [right("digest", "u:h", .read)]
        #expect(allows(list, "digest", "u:h"))
        #expect(!allows(list, "digest", "u:other"))
        #expect(!allows(list, "ip", "u:h"))
        #expect(allows(list, "super", ""))
        #expect(!AccessControl.allows(list, .write, to: [Identity(scheme: "digest", id: "u:h")]))
        #expect(AccessControl.allows(list, [.write, .read], to: [Identity(scheme: "digest", id: "u:h")]))
        #expect(AccessControl.allows([], .write, to: []))
        #expect(AccessControl.allows(nil, .write, to: []))
        #expect(!AccessControl.allows([right("world", "anyone", .read)], .write, to: []))
    }

    @Test func validLists() throws {
        for id: ByteString in ["1.2.3.4", "1.2.3.4/32", "::/0", "fe80::1", "1:2:3:4:5:6:7:8/128", "::ffff:1.2.3.4"] {
            #expect(try AccessControl.resolve([right("ip", id)], for: []) == [right("ip", id)])
        }
        #expect(try AccessControl.resolve([right("digest", "u:h"), right("digest", "u:h")], for: []) == [right("digest", "u:h")])
    }

    @Test(arguments: [
        ("ip", "1.2.3"), ("ip", "1.2.3.256"), ("ip", "1.2.3.4/33"), ("ip", "1.2.3.4/"), ("ip", "1.2.3.+4"), ("ip", "::1::"),
        ("ip", "1:2:3"), ("ip", "12345::"), ("ip", "::/129"), ("ip", ""), ("digest", "u"), ("digest", "u:"), ("digest", "u:h:x"),
        ("world", "someone"), ("sasl", "u"), ("super", ""), ("auth", ""), ("", ""),
    ])
    func invalidLists(scheme: String, id: String) {
        #expect(throws: KeeperError.invalidACL) { try AccessControl.resolve([right(ByteString(scheme), ByteString(id))], for: []) }
    }

    @Test func authStandsForWhatWasProved() throws {
        let identities = [
            Identity(scheme: "ip", id: "1.2.3.4"), Identity(scheme: "digest", id: "a:1"), Identity(scheme: "super", id: ""),
            Identity(scheme: "digest", id: "b:2"),
        ]
        #expect(
            try AccessControl.resolve([right("auth", "", .read), right("world", "anyone", .create)], for: identities)
                == [right("digest", "a:1", .read), right("digest", "b:2", .read), right("world", "anyone", .create)])
    }

    /// As many entries as fit into a request, and every proved identity in place of each: no leader stops for that.
    @Test func longListsCostNoMoreThanTheirLength() throws {
        let many = (0..<60_000).map { right("ip", ByteString("10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255)")) }
        #expect(throws: KeeperError.invalidACL) { try AccessControl.resolve(many, for: []) }
        #expect(try AccessControl.resolve(Array(many[..<20_000]), for: []).count == 20_000)
        let proved = (0..<1000).map { Identity(scheme: "digest", id: ByteString("user\($0):hash")) }
        let asked = (0..<60_000).map { right("auth", "", Permissions(rawValue: Int32($0))) }
        #expect(throws: KeeperError.invalidACL) { try AccessControl.resolve(asked, for: proved) }
    }

    @Test func pathRules() {
        for path: NodePath in ["/", "/a", "/a/b.c/..d/...", "/é/中", "/a b"] { #expect(path.isValid, "\(path)") }
        for path: NodePath in ["", "a", "/a/", "//", "/a//b", "/.", "/a/..", "/a/./b", "/../a", "/a\u{1}", "/\u{7f}", "/\u{9f}", "/\u{e000}", "/\u{fffd}", "/😀"] {
            #expect(!path.isValid, "\(path)")
        }
        // Malformed UTF-8: a stray continuation, an overlong slash, a surrogate, a cut sequence.
        for bytes: [UInt8] in [[0x80], [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xE4, 0xB8]] {
            #expect(!NodePath(unchecked: [0x2F] + bytes).isValid)
        }
    }
}
