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

    package static func current() -> UnitJob {
        var bus: OpaquePointer?
        guard sd_bus_open_system(&bus) >= 0, let bus else { return .unknown }
        defer { sd_bus_flush_close_unref(bus) }
        guard let unit = unitPath(bus), let job = jobPath(bus, unit), let type = jobType(bus, job) else { return .unknown }
        switch type {
        // A host that goes down stops its units; the members must not outlive their disks.
        case "stop": return .stop
        case "restart", "try-restart", "reload-or-start": return .restart
        default: return .unknown
        }
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
