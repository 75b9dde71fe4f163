import CLinux
import Glibc
import NIOConcurrencyHelpers

/// A thread of its own for work that blocks: disk writes must neither hold up an event loop nor share a pool.
package final class DedicatedThread: Sendable {
    private let thread: pthread_t
    private let joined = NIOLockedValueBox(false)

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// - Parameter name: at most 15 bytes; shown by `top -H`.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(StorageError) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Body(body)).toOpaque()
        // Signals belong to the main thread: this one starts with all of them blocked.
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &previous)
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument)
        pthread_sigmask(SIG_SETMASK, &previous, nil)
        guard code == 0 else {
            Unmanaged<Body>.fromOpaque(argument).release()
            throw .system("start thread", name, errno: code)
        }
        self.thread = thread
    }

    /// A thread that nobody joins gives its stack back when it ends: the watchers of servers that died would otherwise
    /// keep theirs for as long as the daemon lives.
    deinit {
        if !joined.withLockedValue({ $0 }) { pthread_detach(thread) }
    }

    /// Waits for the body's end. Never from the thread itself.
    package func join() {
        joined.withLockedValue { joined in
            if !joined { pthread_join(thread, nil) }
            joined = true
        }
    }
}

/// Lets one thread sleep until another has work for it.
package final class WakeUp: Sendable {
    private let descriptor: Int32

    package init() throws(StorageError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw .system("eventfd", "wake-up") }
    }

    deinit { close(descriptor) }

    /// Returns at once; several signals before a wait are one.
    package func signal() {
        var one: UInt64 = 1
        while write(descriptor, &one, 8) < 0, errno == EINTR {}
    }

    /// Returns after a signal, also one from before.
    package func wait() {
        var count: UInt64 = 0
        while read(descriptor, &count, 8) < 0, errno == EINTR {}
    }
}
