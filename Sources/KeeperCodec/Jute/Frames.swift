import NIOCore

/// Frames of the client protocol and of the election channel: an int length, then that many bytes
/// (reference/zookeeper.md, 1.1 and 3.1).
package enum FrameLimit {
    /// `jute.maxbuffer`'s default: the longest client frame.
    package static let client = 0xfffff
    /// The greatest `jute.maxbuffer` that can be configured.
    package static let greatest = 64 << 20
    /// The longest election message.
    package static let election = 512 * 1024
}

extension ByteBuffer {
    /// The next whole frame, without its length, or nil if more bytes must arrive first (nothing is consumed then).
    ///
    /// The frame shares this buffer's memory. A length that is negative or above `limit` throws: the stream is then
    /// lost and its connection must be closed.
    package mutating func readFrame(limit: Int = FrameLimit.client) throws(CodecError) -> ByteBuffer? {
        guard let length = try frameLength(limit: limit) else { return nil }
        moveReaderIndex(forwardBy: 4)
        return readSlice(length: length)
    }

    /// As `readFrame`, but lends the frame to `body` instead of making a slice.
    @inline(__always)
    package mutating func readFrame<R>(
        limit: Int = FrameLimit.client, _ body: (inout JuteReader) throws(CodecError) -> R
    ) throws(CodecError) -> R? {
        guard let length = try frameLength(limit: limit) else { return nil }
        let result: R = try withUnsafeReadableBytes { bytes -> Result<R, CodecError> in
            var reader = JuteReader(UnsafeRawBufferPointer(rebasing: bytes[4..<(4 + length)]), limit: limit)
            do throws(CodecError) { return .success(try body(&reader)) } catch { return .failure(error) }
        }.get()
        moveReaderIndex(forwardBy: 4 + length)
        return result
    }

    /// The length of the frame at the reader index, if all of it is here.
    @inline(__always)
    private func frameLength(limit: Int) throws(CodecError) -> Int? {
        guard let length = getInteger(at: readerIndex, as: Int32.self).map(Int.init) else { return nil }
        guard length >= 0, length <= limit else {
            throw CodecError(.length(length, limit: limit), what: "frame", offset: 0)
        }
        return readableBytes - 4 >= length ? length : nil
    }
}
