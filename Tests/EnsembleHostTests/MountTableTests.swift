import Testing

@testable import EnsembleHost

/// Which mounts a path lies on, from the kernel's table.
@Suite struct MountTableTests {
    private func point(of path: String, _ table: String) -> String? {
        MountTable.point(of: path, in: MountTable.mounts(Array(table.utf8)))
    }

    private let host = """
        21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
        30 21 254:16 / /srv rw,relatime shared:2 - ext4 /dev/vdb rw
        31 30 0:44 / /srv/my\\040archive rw - nfs4 nas:/backups rw

        """

    @Test func aPathLiesOnTheDeepest() {
        #expect(point(of: "/var/lib/x", host) == "/")
        #expect(point(of: "/srv/data", host) == "/srv")
        #expect(point(of: "/srvx", host) == "/")
        #expect(point(of: "/srv/my archive/backups", host) == "/srv/my archive")
    }

    /// What a unit's ReadWritePaths= are: the same directory, mounted over itself.
    @Test func aDirectoryOverItselfIsNoMount() {
        let sandbox = host + """
            90 21 254:0 /var/backups /var/backups rw - ext4 /dev/vda rw
            91 30 254:16 / /srv rw - ext4 /dev/vdb rw
            92 91 254:16 /data /srv/data rw - ext4 /dev/vdb rw
            93 90 254:0 /var/backups/orders /var/backups/orders rw - ext4 /dev/vda rw

            """
        #expect(point(of: "/var/backups/orders", sandbox) == "/")
        #expect(point(of: "/srv/data/members", sandbox) == "/srv")
    }

    @Test func anotherDirectoryOfTheSameDiskIsOne() {
        let bind = host + "90 21 254:0 /elsewhere /var/backups rw - ext4 /dev/vda rw\n"
        #expect(point(of: "/var/backups/orders", bind) == "/var/backups")
        // And one that lies in it, over itself.
        let inner = bind + "91 90 254:0 /elsewhere/orders /var/backups/orders rw - ext4 /dev/vda rw\n"
        #expect(point(of: "/var/backups/orders", inner) == "/var/backups")
    }

    /// A subvolume or a container's root is the file system's directory, not its root.
    @Test func aRootThatIsADirectoryOfItsDisk() {
        let table = """
            1 0 0:30 /@ / rw - btrfs /dev/vda rw
            2 1 0:30 /@/var /var rw - btrfs /dev/vda rw
            3 1 0:30 /@home /home rw - btrfs /dev/vda rw

            """
        #expect(point(of: "/var/x", table) == "/")
        #expect(point(of: "/home/x", table) == "/home")
    }

    @Test func whatIsNoTableHasNoMounts() {
        #expect(MountTable.mounts(Array("1 2 3\n\nx".utf8)).isEmpty)
        #expect(point(of: "/a", "") == nil)
    }
}
