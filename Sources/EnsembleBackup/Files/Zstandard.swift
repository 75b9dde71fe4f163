import CZstd

/// A zstd stream being written. Memory is what the level's window needs, whatever the input's size.
struct Compressor: ~Copyable {
    /// What the archive accepts as a level: those whose window every decoder reads without options.
    static let levels = 1...19

    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer

    init(level: Int) throws(BackupError) {
        guard Self.levels.contains(level) else {
            throw BackupError(
                .unsupported, file: "zstd", problem: "compression level \(level) is out of range",
                remedy: "use \(Self.levels.lowerBound) to \(Self.levels.upperBound)")
        }
        guard let context = ZSTD_createCCtx() else { throw zstdError("zstd", "out of memory") }
        // The frame's own checksum lets a person check an object with `zstd -t`.
        for (parameter, value) in [(ZSTD_c_compressionLevel, CInt(level)), (ZSTD_c_checksumFlag, 1)]
        where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
            ZSTD_freeCCtx(context)
            throw zstdError("zstd", "parameter refused")
        }
        self.context = context
        output = .allocate(byteCount: ZSTD_CStreamOutSize(), alignment: 16)
    }

    deinit {
        ZSTD_freeCCtx(context)
        output.deallocate()
    }

    /// Feeds `input` and hands on what comes out. `ending` closes the frame.
    borrowing func feed(
        _ input: UnsafeRawBufferPointer, ending: Bool, emit: (UnsafeRawBufferPointer) throws(BackupError) -> Void
    ) throws(BackupError) {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        while true {
            var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let rest = ZSTD_compressStream2(context, &target, &source, ending ? ZSTD_e_end : ZSTD_e_continue)
            guard ZSTD_isError(rest) == 0 else { throw zstdError("zstd", String(cString: ZSTD_getErrorName(rest))) }
            if target.pos > 0 { try emit(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<target.pos])) }
            if ending ? rest == 0 : source.pos == source.size { return }
        }
    }
}

/// A zstd stream being read.
struct Decompressor: ~Copyable {
    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer
    private let path: String
    /// Whether the last frame was read to its end.
    private(set) var isComplete = false

    init(path: String) throws(BackupError) {
        guard let context = ZSTD_createDCtx() else { throw zstdError(path, "out of memory") }
        self.context = context
        self.path = path
        output = .allocate(byteCount: ZSTD_DStreamOutSize(), alignment: 16)
    }

    deinit {
        ZSTD_freeDCtx(context)
        output.deallocate()
    }

    mutating func feed(
        _ input: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws(BackupError) -> Void
    ) throws(BackupError) {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        while true {
            var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let hint = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(hint) == 0 else { throw zstdError(path, String(cString: ZSTD_getErrorName(hint))) }
            isComplete = hint == 0
            if target.pos > 0 { try emit(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<target.pos])) }
            // A full output buffer means that more may wait inside the decoder.
            if source.pos == source.size && target.pos < target.size { return }
        }
    }
}

private func zstdError(_ path: String, _ problem: String) -> BackupError {
    BackupError(.damaged, file: path, problem: "zstd: \(problem)", remedy: "this copy is lost; use another backup")
}
