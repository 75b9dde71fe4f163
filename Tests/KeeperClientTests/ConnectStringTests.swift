import KeeperCore
import Testing

@testable import KeeperClient

@Suite struct ConnectStringTests {
    @Test func hostsPortsAndChroot() throws {
        let parsed = try ConnectString("a:1,b,[::1]:3/app/x")
        #expect(parsed.servers.map(\.description) == ["a:1", "b:2181", "[::1]:3"])
        #expect(parsed.chroot == "/app/x")
        #expect(parsed.description == "a:1,b:2181,[::1]:3/app/x")
        #expect(try ConnectString("a:1/").chroot.isEmpty)
    }

    @Test(arguments: ["", "a:0", "a:65536", "a:+1", "a,,b", "a:1/x/", "a:1//x", "a:b", ":1", "[::1", "[]:1", "a:1:2", " a:1"])
    func nonsenseIsRefused(_ text: String) {
        #expect(throws: KeeperClientError.self) { try ConnectString(text) }
    }

    @Test func pathsUnderAChroot() throws {
        #expect(try PathRules.absolute("/", under: "/app") == "/app")
        #expect(try PathRules.absolute("/x", under: "/app") == "/app/x")
        #expect(PathRules.relative("/app", to: "/app") == "/")
        #expect(PathRules.relative("/app/x", to: "/app") == "/x")
        #expect(PathRules.relative("/apple", to: "/app") == "/apple")
    }

    @Test(arguments: ["", "x", "/x/", "//", "/a//b", "/a/./b", "/..", "/a\u{1}"])
    func pathsThatNoServerTakesAreNotSent(_ path: String) {
        #expect(throws: KeeperClientError.self) { try PathRules.absolute(path, under: "") }
    }

    @Test func aSequentialNodeMayHaveNoNameOfItsOwn() throws {
        #expect(try PathRules.absolute("/queue/", under: "", sequential: true) == "/queue/")
        #expect(throws: KeeperClientError.self) { try PathRules.absolute("/queue//x", under: "", sequential: true) }
    }
}
