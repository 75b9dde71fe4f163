import EnsembleBase
import Glibc
import KeeperStorage

extension ServerExitReport {
    /// What a storage failure means for the process.
    package init(_ error: StorageError) {
        switch error.cause {
        case .system(_, let code):
            // Rights and missing directories are for a person to set right; everything else is the disk.
            let isSetting = [EACCES, EPERM, EROFS, ENOENT, ENOTDIR].contains(code)
            self.init(exit: isSetting ? .configuration : .inputOutput, message: "\(error)", file: error.path)
        case .damaged(let offset, _):
            self.init(exit: .corruptData, message: "\(error)", file: error.path, offset: Int64(offset))
        case .inconsistent, .cutShort:
            self.init(exit: .corruptData, message: "\(error)", file: error.path)
        case .held:
            // Like a port in use: that server may be about to end.
            self.init(exit: .temporaryFailure, message: "\(error)", file: error.path)
        }
    }
}
