import EnsembleControl
import EnsembleHost
import FoundationEssentials
import Glibc
import Testing

/// S3: who serves from a directory is seen, whoever started it.
@Suite struct DirectoryUseTests {
    private func scratch() throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/ensemble-use-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path + "/data/version-2", withIntermediateDirectories: true)
        return path
    }

    /// The process has what the script opens when `ready` is there.
    private func started(_ script: String, in root: String) throws -> ProcessIdentity {
        let launch = LaunchCommand(
            executable: "/bin/sh", arguments: ["-c", script + "; : >\(root)/ready; exec sleep 600"],
            environment: ["PATH=/usr/bin:/bin"])
        let process = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        while access(root + "/ready", F_OK) != 0 { usleep(2000) }
        return process
    }

    private func end(_ process: ProcessIdentity) {
        ServerProcess.signal(process, SIGKILL)
        _ = ServerProcess.waitForEnd(of: process)
    }

    @Test(arguments: ["version-2/log.1", "server.lock"]) func aWriterIsFound(file: String) throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        // Also by another name of the directory, and when its file was removed.
        symlink(root + "/data", root + "/link")
        let process = try started("exec 3>>\(root)/data/\(file)", in: root)
        defer { end(process) }
        #expect(DirectoryUse.find([root + "/link"])?.pid == process.pid)
        unlink("\(root)/data/\(file)")
        if file != "server.lock" { #expect(DirectoryUse.find([root + "/data"])?.pid == process.pid) }
        #expect(DirectoryUse.find([root + "/other"]) == nil)
    }

    /// Another container's directory has this name, too.
    @Test func anotherFileOfTheSameNameIsNotOurs() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        guard geteuid() == 0 else { return }
        let launch = LaunchCommand(
            executable: "/usr/bin/unshare",
            arguments: [
                "--mount", "--propagation", "private", "sh", "-c",
                "mount -t tmpfs none \(root)/data/version-2; exec 3>\(root)/data/version-2/log.1; : >\(root)/ready; exec sleep 600",
            ], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        let process = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        defer { end(process) }
        for _ in 0..<2500 where access(root + "/ready", F_OK) != 0 { usleep(2000) }
        guard access(root + "/ready", F_OK) == 0 else { return }
        #expect(DirectoryUse.find([root + "/data"]) == nil)
        try Data().write(to: URL(filePath: root + "/data/version-2/log.1"))
        #expect(DirectoryUse.find([root + "/data"]) == nil)
    }

    /// Under the daemon's unit the descriptors of a server with more rights can't be seen; its lock can.
    @Test func theBundledServersLockIsSeen() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let launch = LaunchCommand(
            executable: "/usr/bin/flock", arguments: ["--close", "\(root)/data/server.lock", "sleep", "600"], environment: ["PATH=/usr/bin:/bin"])
        let process = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        defer { end(process) }
        var found: DirectoryUse.Server?
        for _ in 0..<500 where found == nil {
            found = DirectoryUse.find([root + "/data"])
            usleep(2000)
        }
        #expect(found?.file == root + "/data/server.lock")
    }

    /// Each member on a disk of its own: their locks have the same inode. Found by the campaign, in which a member that was
    /// killed waited for its neighbour's end.
    @Test func anothersLockOnAnotherDiskIsNotOurs() throws {
        guard geteuid() == 0 else { return }
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let disks = ["\(root)/1", "\(root)/2"]
        for disk in disks {
            mkdir(disk, 0o700)
            // A container may forbid it.
            guard mount("none", disk, "tmpfs", 0, nil) == 0 else { return }
            try Data().write(to: URL(filePath: disk + "/server.lock"))
        }
        defer { for disk in disks { umount2(disk, Int32(MNT_DETACH)) } }
        let launch = LaunchCommand(
            executable: "/usr/bin/flock", arguments: ["--close", disks[0] + "/server.lock", "sleep", "600"],
            environment: ["PATH=/usr/bin:/bin"])
        let process = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        defer { end(process) }
        for _ in 0..<500 where DirectoryUse.find([disks[0]]) == nil { usleep(2000) }
        #expect(DirectoryUse.find([disks[0]])?.pid == process.pid)
        #expect(DirectoryUse.find([disks[1]]) == nil)
    }

    /// Backups read, and people look; what lies beside the files is nobody's concern.
    @Test func aReaderIsNoServer() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let process = try started("exec 3>\(root)/data/version-2/log.1 3>&-; exec 4<\(root)/data/version-2/log.1 5>\(root)/data/notes", in: root)
        defer { end(process) }
        #expect(DirectoryUse.find([root + "/data"]) == nil)
    }

    /// Apache's server opens no log before its first write.
    @Test func anApacheServerIsKnownByItsConfiguration() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let configuration = "tickTime=2000\ndataDir=\(root)/other\ndataLogDir=\(root)/data\n"
        try Data(configuration.utf8).write(to: URL(filePath: root + "/zoo.cfg"))
        let launch = LaunchCommand(
            executable: "/bin/sh",
            arguments: ["-c", "while :; do sleep 1; done", "org.apache.zookeeper.server.quorum.QuorumPeerMain", root + "/zoo.cfg"], environment: [])
        let process = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        defer { end(process) }
        var found: DirectoryUse.Server?
        // Between fork and exec it has other arguments.
        for _ in 0..<500 where found == nil {
            found = DirectoryUse.find([root + "/data"])
            usleep(2000)
        }
        #expect(found?.pid == process.pid && found?.file == root + "/zoo.cfg")
    }
}
