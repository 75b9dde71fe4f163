import EnsembleBase
import NIOConcurrencyHelpers

/// A copy of a directory with everything in it, as `cp -a` makes one: for backups, seeds, quarantine, and for a disk that
/// goes back in time.
package struct DiskImage: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        package var bytes: [UInt8]
        package var size: Int
    }

    /// By path; nil: a directory.
    package var files: [String: File?] = [:]
}

extension FaultyDisk {
    /// - Parameter isDurable: what a power cut would surely leave; else what a process sees now.
    package func image(isDurable: Bool = false) -> DiskImage {
        state.withLockedValue { state in
            var image = DiskImage()
            for (path, node) in isDurable ? state.names.durable : state.names.current
            where path != "" && path != "/" {
                switch node {
                case .directory: image.files[path] = .some(nil)
                case .file(let number):
                    guard let file = state.files[number] else { continue }
                    let content = isDurable ? file.durable : file
                    image.files[path] = DiskImage.File(bytes: content.bytes, size: content.size)
                }
            }
            return image
        }
    }

    /// What is there becomes what the image holds, durably.
    package func replace(with image: DiskImage) {
        state.withLockedValue { state in
            // Numbers are not used again: what is open leads nowhere.
            state.files = [:]
            state.names = DiskNames()
            // It would take names of this directory for those that it has read in the one before.
            state.view = DurableView()
            for path in image.files.keys.sorted() where path != "" && path != "/" {
                if let file = image.files[path]! {
                    state.fileCount += 1
                    state.files[state.fileCount] = DiskFile(durable: file.bytes, size: file.size)
                    state.names.add(path, .file(state.fileCount))
                } else {
                    state.names.add(path, .directory)
                }
            }
            state.names.settle()
        }
    }

    /// A sector of one of the files goes bad: found when it is read, as an error or as other bytes. One that is still to be
    /// written is as good as new behind that (seed 1303).
    ///
    /// - Parameter gently: only one byte of it does.
    /// - Returns: where, in words; nil if there is nothing to spoil.
    package func rot(gently: Bool = false, where isMeant: (String) -> Bool) -> String? {
        state.withLockedValue { state in
            let candidates = state.names.current.keys.filter(isMeant).sorted()
            guard let path = candidates.randomElement(using: &state.random), case .file(let number)? = state.names[path],
                let file = state.files[number], !file.bytes.isEmpty
            else { return nil }
            let sector = Int.random(in: 0...(file.bytes.count - 1) / DiskFile.sector, using: &state.random)
            let readably = Bool.random(using: &state.random) || gently
            guard !file.isUnsynced(sector: sector) else { return nil }
            let place = gently ? Int.random(in: 0..<DiskFile.sector, using: &state.random) : nil
            state.files[number]!.rot(sector: sector, readably: readably, at: place, among: state.fileCount)
            return "\(path), sector \(sector)\(readably ? "" : ", which can't be read")"
        }
    }
}
