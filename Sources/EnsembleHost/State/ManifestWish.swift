import Crypto
import EnsembleControl
import KeeperStorage
import NIOConcurrencyHelpers

/// S12: what the manifest's file says at this moment, beside the manifest in force. Applied it is only by a person's word: a
/// reload, or `ensemblectl apply`.
package struct ManifestWish: Sendable {
    package let manifest: Manifest
    /// As it was read.
    package let text: [UInt8]
    package let change: ManifestChange
    package let difference: ManifestDifference
    /// Names this change and no other: who was shown it applies exactly that.
    package let token: String

    /// Blocks.
    ///
    /// - Throws: what is wrong with the file.
    init(file: String, inForce: (manifest: Manifest, text: [UInt8]), on layout: HostLayout) throws {
        (manifest, text) = try Daemon.readManifest(file)
        change = ManifestChange(from: inForce.manifest, to: manifest, on: layout)
        difference = ManifestDifference(from: inForce.text, to: text)
        var hasher = SHA256()
        // Which lengths they have is part of it.
        for part in [inForce.text, text] { hasher.update(data: Array("\(part.count):".utf8) + part) }
        token = hasher.finalize().prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

extension OperatorShell {
    /// - Parameter hook: gives the control socket to those who may use it.
    package func whenAccessChanges(_ hook: @escaping @Sendable (OperatorAccess) throws -> Void) {
        accessHook.withLockedValue { $0 = hook }
    }

    /// - Throws: what is wrong with the file; `HostLane.Failure` where it can't be read in time.
    package func wish() async throws -> ManifestWish {
        let (file, cluster, text) = (manifestFile, runner.cluster, textInForce.withLockedValue { $0 })
        return try await runner.lanes.manifest.run("reading it", within: .seconds(10)) {
            try ManifestWish(file: file, inForce: (cluster.manifest, text), on: cluster.layout)
        }
    }

    /// Takes it, if it can be taken as a whole; what it changes in running servers is done by a roll.
    ///
    /// - Parameters:
    ///   - token: of the change that is meant; nil: whatever the file says.
    ///   - user: the user id of who asks; nil: it came as a signal.
    /// - Throws: what is wrong with the file, or that it means another change by now.
    package func apply(_ token: String?, by user: UInt32?) async throws -> ManifestWish {
        while isApplying.withLockedValue({ applying in defer { applying = true }; return applying }) {
            try await Task.sleep(for: .milliseconds(10))
        }
        defer { isApplying.withLockedValue { $0 = false } }
        let wish: ManifestWish
        do { wish = try await self.wish() } catch {
            note(refusedReload: ["\(error)"])
            throw error
        }
        if let token, token != wish.token {
            throw ControlError(
                .refused, "the manifest or what is in force has changed since plan \(token) was made; it is \(wish.token) now",
                remedy: "look at it anew: ensemblectl diff")
        }
        note(refusedReload: wish.change.refusals.map(\.description))
        guard wish.change.refusals.isEmpty else { return wish }
        if wish.change.live.contains("operator") {
            // S12: as a whole or not at all: a group that is gone is found first.
            do { try accessHook.withLockedValue({ $0 })?(wish.manifest.operatorAccess) } catch {
                note(refusedReload: ["\(error)"])
                throw error
            }
        }
        await take(wish, by: user)
        return wish
    }

    private func take(_ wish: ManifestWish, by user: UInt32?) async {
        if wish.change.isEmpty {
            log(Note(.information, .manifestChanged, "the manifest says what it said before"))
        } else {
            let paths = wish.difference.entries.map(\.path)
            let what = paths.prefix(8).joined(separator: ", ") + (paths.count > 8 ? " and \(paths.count - 8) more" : "")
            let who = user.map { "user \($0)" } ?? "a reload"
            log(Note(.information, .manifestChanged, "in force from now on, asked for by \(who): \(what)"))
            await changeCluster(to: wish.manifest)
        }
        textInForce.withLockedValue { $0 = wish.text }
        do {
            try await runner.lanes.state.run("writing the manifest in force") { [runner] in
                try runner.state.save(manifestInForce: wish.text)
            }
        } catch {
            log(Note(.error, .manifestChanged, "it is in force, and the next reload is checked against the one before: \(error)"))
        }
    }
}
