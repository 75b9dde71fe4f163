import CSystemd
import Glibc

/// Asks systemd which job ends the daemon: with KillMode=process `stop` and `restart` look the same from here (one
/// SIGTERM), and they mean opposite things for the members.
///
/// systemd keeps the queued job of a unit in the property `Job` of org.freedesktop.systemd1.Unit, as (id, path); the
/// job object's `JobType` is "stop" or "restart" (org.freedesktop.systemd1(5)).
package enum UnitJob: Sendable, Equatable {
    case stop
    case restart
    /// The bus didn't answer, or no job is queued.
    case unknown

    /// Blocks for as long as systemd takes to answer, at most some seconds.
    package static func current() -> UnitJob {
        for open in [openManagerSocket, openSystemBus] {
            guard let bus = open() else { continue }
            defer { sd_bus_flush_close_unref(bus) }
            // The default is 25 s for each call.
            sd_bus_set_method_call_timeout(bus, 2_000_000)
            guard let unit = unitPath(bus), let job = jobPath(bus, unit) else { continue }
            guard let type = jobType(bus, job) else { continue }
            return UnitJob(type: type)
        }
        return .unknown
    }

    private init(type: String) {
        switch type {
        // A host that goes down stops its units; the members must not outlive their disks.
        case "stop": self = .stop
        // try-restart and reload-or-restart become one of these before they are queued (systemd's job_type_collapse).
        case "restart": self = .restart
        default: self = .unknown
        }
    }

    /// systemd's own socket, by which systemctl works for root. It comes first because it answers where the bus can't:
    /// on a host without a D-Bus daemon; when that daemon has yet to be started by this very connection, which may have
    /// to wait for the unit's stop job (a deadlock, measured); and when it ended first while the host goes down.
    private static func openManagerSocket() -> OpaquePointer? {
        var bus: OpaquePointer?
        guard sd_bus_new(&bus) >= 0 else { return nil }
        guard sd_bus_set_address(bus, "unix:path=/run/systemd/private") >= 0, sd_bus_start(bus) >= 0 else {
            sd_bus_unref(bus)
            return nil
        }
        return bus
    }

    /// For a daemon that a drop-in runs as another user than root.
    private static func openSystemBus() -> OpaquePointer? {
        var bus: OpaquePointer?
        guard sd_bus_open_system(&bus) >= 0 else { return nil }
        return bus
    }

    private static let manager = "org.freedesktop.systemd1"

    private static func unitPath(_ bus: OpaquePointer) -> String? {
        var message: OpaquePointer?
        guard
            sd_bus_message_new_method_call(
                bus, &message, manager, "/org/freedesktop/systemd1", manager + ".Manager", "GetUnitByPID") >= 0
        else { return nil }
        defer { sd_bus_message_unref(message) }
        var pid = UInt32(getpid())
        sd_bus_message_append_basic(message, CChar(UInt8(ascii: "u")), &pid)
        var reply: OpaquePointer?
        guard sd_bus_call(bus, message, 2_000_000, nil, &reply) >= 0 else { return nil }
        defer { sd_bus_message_unref(reply) }
        return readText(reply, "o")
    }

    private static func jobPath(_ bus: OpaquePointer, _ unit: String) -> String? {
        var reply: OpaquePointer?
        guard sd_bus_get_property(bus, manager, unit, manager + ".Unit", "Job", nil, &reply, "(uo)") >= 0 else {
            return nil
        }
        defer { sd_bus_message_unref(reply) }
        guard sd_bus_message_enter_container(reply, CChar(UInt8(ascii: "r")), "uo") >= 0 else { return nil }
        var id: UInt32 = 0
        guard sd_bus_message_read_basic(reply, CChar(UInt8(ascii: "u")), &id) >= 0, id != 0 else { return nil }
        return readText(reply, "o")
    }

    private static func jobType(_ bus: OpaquePointer, _ job: String) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard sd_bus_get_property_string(bus, manager, job, manager + ".Job", "JobType", nil, &text) >= 0, let text else {
            return nil
        }
        defer { free(text) }
        return String(cString: text)
    }

    private static func readText(_ message: OpaquePointer?, _ type: Unicode.Scalar) -> String? {
        var text: UnsafePointer<CChar>?
        let result = withUnsafeMutablePointer(to: &text) {
            sd_bus_message_read_basic(message, CChar(UInt8(ascii: type)), $0)
        }
        guard result >= 0, let text else { return nil }
        return String(cString: text)
    }
}
