#include "sim/interchange/nccl_topology.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <pugixml.hpp>
#include <set>
#include <sstream>

namespace nvl72 {
namespace {

void write_nets(pugi::xml_node parent, std::vector<NcclNet> const& nets) {
    if (nets.empty()) return;
    auto nic = parent.append_child("nic");
    for (auto const& net : nets) {
        auto node = nic.append_child("net");
        node.append_attribute("name") = net.name.c_str();
        node.append_attribute("dev") = net.dev;
        node.append_attribute("speed") = static_cast<long long>(net.speed);
        node.append_attribute("port") = net.port;
        node.append_attribute("latency") = fmt::format("{:.6f}", net.latency).c_str();
        node.append_attribute("guid") = net.guid.c_str();
        node.append_attribute("maxconn") = net.maxconn;
        node.append_attribute("gdr") = net.gdr ? 1 : 0;
        node.append_attribute("coll") = net.coll ? 1 : 0;
    }
}

void write_gpu(pugi::xml_node parent, NcclGpu const& gpu) {
    auto node = parent.append_child("gpu");
    node.append_attribute("dev") = gpu.dev;
    node.append_attribute("sm") = gpu.sm;
    node.append_attribute("rank") = gpu.rank;
    node.append_attribute("gdr") = gpu.gdr ? 1 : 0;
    for (auto const& nvlink : gpu.nvlinks) {
        auto child = node.append_child("nvlink");
        child.append_attribute("target") = nvlink.target.c_str();
        child.append_attribute("count") = nvlink.count;
        child.append_attribute("tclass") = nvlink.tclass.c_str();
    }
    if (gpu.c2c) {
        auto child = node.append_child("c2c");
        child.append_attribute("bw") = gpu.c2c->bw;
        child.append_attribute("count") = gpu.c2c->count;
    }
}

void write_pci(pugi::xml_node parent, NcclPci const& pci) {
    auto node = parent.append_child("pci");
    node.append_attribute("busid") = pci.busid.c_str();
    node.append_attribute("class") = pci.device_class.c_str();
    node.append_attribute("link_speed") = pci.link_speed.c_str();
    node.append_attribute("link_width") = pci.link_width;
    for (auto const& device : pci.devices) write_pci(node, device);
    for (auto const& gpu : pci.gpus) write_gpu(node, gpu);
    write_nets(node, pci.nets);
}

constexpr std::array<std::string_view, 9> elements{"system", "cpu", "pci", "gpu",    "nvlink",
                                                   "c2c",    "nic", "net", "pcilink"};
constexpr std::array<std::string_view, 3> architectures{"x86_64", "arm64", "ppc64"};
constexpr std::array<std::string_view, 4> vendors{"GenuineIntel", "AuthenticAMD", "CentaurHauls",
                                                  "  Shanghai  "};
constexpr int depth_max = 16;  // PCIe switches behind switches

bool all_hex(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}
bool is_hex_number(std::string_view text) {
    return text.starts_with("0x") && text.size() <= 18 && all_hex(text.substr(2));
}
/// "0000:1b:00.0", the domain of up to 8 digits.
bool is_busid(std::string const& text) {
    auto const parts = split(text, ':');
    if (parts.size() != 3 || parts[0].size() < 4 || parts[0].size() > 8) return false;
    auto const& last = parts[2];
    return all_hex(parts[0]) && parts[1].size() == 2 && all_hex(parts[1]) && last.size() == 4 &&
           last[2] == '.' && all_hex(last.substr(0, 2)) && all_hex(last.substr(3));
}
/// "32.0 GT/s PCIe", or as older kernels write it, "8 GT/s"; empty or Unknown where none was read.
bool is_link_speed(std::string const& text) {
    if (text.empty() || text.starts_with("Unknown")) return true;
    double rate = 0;
    auto const read = std::from_chars(text.data(), text.data() + text.size(), rate);
    std::string_view const unit(read.ptr, text.data() + text.size());
    return read.ec == std::errc{} && rate >= 2.5 && rate <= 128 &&
           (unit == " GT/s PCIe" || unit == " GT/s");
}

class XmlReader {
public:
    XmlReader(std::string const& text, std::string const& file) : text_(text), file_(file) {}

    NcclTopology read() {
        pugi::xml_document document;
        auto const parsed = document.load_buffer(text_.data(), text_.size());
        if (!parsed) {
            fail(at(parsed.offset, ""), parsed.description(),
                 "the XML that NCCL_TOPO_DUMP_FILE writes, whole");
        }
        auto const root = document.document_element();
        if (std::string_view(root.name()) != "system") {
            fail(at(root, ""), fmt::format("<{}>", root.name()), "<system>, NCCL's topology");
        }
        whole(root, "version", 1, 1);
        NcclTopology topology;
        for (auto const node : children(root, {"cpu"})) topology.cpus.push_back(cpu(node));
        if (gpus_ == 0) fail(at(root, ""), "no <gpu>", "at least one, in a <pci> of a <cpu>");
        return topology;
    }

private:
    [[nodiscard]] Place at(std::ptrdiff_t offset, std::string key) const {
        auto const end =
            std::min<std::size_t>(offset < 0 ? 0 : static_cast<std::size_t>(offset), text_.size());
        auto const stop = text_.begin() + static_cast<std::ptrdiff_t>(end);
        return {file_, 1 + static_cast<int>(std::count(text_.begin(), stop, '\n')), std::move(key)};
    }
    [[nodiscard]] Place at(pugi::xml_node node, std::string key) const {
        return at(node.offset_debug(), std::move(key));
    }
    [[nodiscard]] Place at_attribute(pugi::xml_node node, char const* key) const {
        return at(node, fmt::format("{}.{}", node.name(), key));
    }

    /// Elements of a name that we know must stand where NCCL looks for them; an unknown one is
    /// passed over, unless it is a slip of a known one.
    std::vector<pugi::xml_node> children(pugi::xml_node parent,
                                         std::vector<std::string_view> const& wanted) const {
        std::vector<pugi::xml_node> found;
        std::vector<std::string> const known(elements.begin(), elements.end());
        for (auto const node : parent.children()) {
            if (node.type() != pugi::node_element) continue;
            std::string const name = node.name();
            if (std::ranges::find(wanted, name) != wanted.end()) {
                found.push_back(node);
                continue;
            }
            bool const ours = std::ranges::find(known, name) != known.end();
            auto const near = ours ? name : name == "gin" ? "" : nearest_name(name, known);
            if (near.empty() || name == "pcilink") continue;
            fail(at(node, ""), fmt::format("<{}> in <{}>", name, parent.name()),
                 ours ? "it elsewhere" : fmt::format("did you mean <{}>?", near));
        }
        return found;
    }

    std::string text(pugi::xml_node node, char const* key, bool needed) const {
        auto const attribute = node.attribute(key);
        if (!attribute && needed) fail(at_attribute(node, key), "missing", "as NCCL writes it");
        return attribute.value();
    }
    template <class Test>
    std::string checked(pugi::xml_node node,
                        char const* key,
                        bool needed,
                        Test const& holds,
                        std::string const& expected) const {
        std::string value = text(node, key, needed);
        if (node.attribute(key) && !holds(value)) {
            fail(at_attribute(node, key), fmt::format("'{}'", value), expected);
        }
        return value;
    }
    std::int64_t whole(pugi::xml_node node,
                       char const* key,
                       std::int64_t least,
                       std::int64_t most,
                       std::optional<std::int64_t> otherwise = {}) const {
        auto const value = text(node, key, !otherwise);
        if (otherwise && !node.attribute(key)) return *otherwise;
        std::int64_t number = 0;
        auto const end = value.data() + value.size();
        auto const read = std::from_chars(value.data(), end, number);
        if (read.ec != std::errc{} || read.ptr != end || number < least || number > most) {
            fail(at_attribute(node, key), fmt::format("'{}'", value),
                 least == most ? std::to_string(least)
                               : fmt::format("a whole number from {} to {}", least, most));
        }
        return number;
    }
    int small(pugi::xml_node node,
              char const* key,
              int least,
              int most,
              std::optional<std::int64_t> otherwise = {}) const {
        return static_cast<int>(whole(node, key, least, most, otherwise));
    }

    NcclCpu cpu(pugi::xml_node node) {
        auto const one_of = [](auto const& list) {
            return [&list](std::string const& word) {
                return std::ranges::find(list, word) != list.end();
            };
        };
        NcclCpu made;
        made.host_hash = checked(node, "host_hash", false, is_hex_number, "0x and 16 digits");
        made.numaid = small(node, "numaid", -1, 1 << 20);
        made.affinity = checked(
            node, "affinity", false,
            [](std::string const& mask) {
                return mask.find_first_not_of("0123456789abcdefABCDEF,") == std::string::npos;
            },
            "groups of 8 hexadecimal digits");
        made.arch = checked(node, "arch", true, one_of(architectures), "x86_64 | arm64 | ppc64");
        bool const x86 = made.arch == "x86_64";
        made.vendor = text(node, "vendor", x86);
        if (x86) {
            checked(node, "vendor", true, one_of(vendors),
                    "GenuineIntel | AuthenticAMD | CentaurHauls");
        }
        bool const intel = x86 && made.vendor == "GenuineIntel";
        std::optional<std::int64_t> const zero =
            intel ? std::nullopt : std::optional{std::int64_t{0}};
        made.familyid = small(node, "familyid", 0, 1 << 16, zero);
        made.modelid = small(node, "modelid", 0, 1 << 16, zero);
        host_ = made.host_hash;
        for (auto const child : children(node, {"pci", "nic"})) {
            if (std::string_view(child.name()) == "nic") {
                add_nets(made.nets, child);
            } else {
                made.devices.push_back(pci(child, 1));
            }
        }
        return made;
    }

    NcclPci pci(pugi::xml_node node, int depth) {
        if (depth > depth_max) {
            fail(at(node, ""), fmt::format("<pci> {} deep", depth),
                 fmt::format("at most {}", depth_max));
        }
        NcclPci made;
        made.busid = checked(node, "busid", true, is_busid, "such as 0000:1b:00.0");
        if (!busids_.insert(host_ + " " + made.busid).second) {
            fail(at_attribute(node, "busid"), fmt::format("'{}' again", made.busid),
                 "each device of a machine once");
        }
        made.device_class = checked(
            node, "class", false,
            [](std::string const& word) { return word.empty() || is_hex_number(word); },
            "such as 0x030200");
        made.link_speed =
            checked(node, "link_speed", false, is_link_speed, "such as 32.0 GT/s PCIe");
        made.link_width = small(node, "link_width", 0, 32, 0);
        for (auto const child : children(node, {"pci", "gpu", "nic"})) {
            std::string_view const name = child.name();
            if (name == "pci") made.devices.push_back(pci(child, depth + 1));
            if (name == "gpu") made.gpus.push_back(gpu(child));
            if (name == "nic") add_nets(made.nets, child);
        }
        return made;
    }

    NcclGpu gpu(pugi::xml_node node) {
        ++gpus_;
        NcclGpu made;
        made.dev = small(node, "dev", 0, 1023);
        made.sm = small(node, "sm", 30, 200);
        made.rank = small(node, "rank", -1, 1 << 24, -1);
        made.gdr = small(node, "gdr", 0, 1, 0) == 1;
        for (auto const child : children(node, {"nvlink", "c2c"})) {
            if (std::string_view(child.name()) == "c2c") {
                made.c2c =
                    NcclC2c{small(child, "bw", 1, 100'000'000), small(child, "count", 1, 64)};
                continue;
            }
            NcclNvlink link;
            link.target = checked(child, "target", true, is_busid, "such as 0000:07:00.0");
            link.count = small(child, "count", 1, 72);
            link.tclass = checked(child, "tclass", true, is_hex_number, "such as 0x068000");
            made.nvlinks.push_back(std::move(link));
        }
        return made;
    }

    void add_nets(std::vector<NcclNet>& nets, pugi::xml_node nic) const {
        for (auto const node : children(nic, {"net"})) {
            NcclNet made;
            made.name = text(node, "name", false);
            made.dev = small(node, "dev", 0, 1 << 20);
            made.speed = whole(node, "speed", 1, 10'000'000);  // Mbit/s
            made.port = small(node, "port", 0, 1024, 0);
            auto const latency = text(node, "latency", false);
            if (node.attribute("latency")) {
                auto const end = latency.data() + latency.size();
                auto const read = std::from_chars(latency.data(), end, made.latency);
                if (read.ec != std::errc{} || read.ptr != end ||
                    !(made.latency >= 0 && made.latency < 1e6)) {
                    fail(at_attribute(node, "latency"), fmt::format("'{}'", latency),
                         "microseconds, 0 or more");
                }
            }
            made.guid = checked(node, "guid", false, is_hex_number, "0x and up to 16 digits");
            made.maxconn = small(node, "maxconn", 1, 1 << 30, 1);
            made.gdr = small(node, "gdr", 0, 1, 0) == 1;
            made.coll = small(node, "coll", 0, 1, 0) == 1;
            nets.push_back(std::move(made));
        }
    }

    std::string const& text_;
    std::string const& file_;
    std::string host_;
    std::set<std::string> busids_;
    int gpus_ = 0;
};

}  // namespace

std::string nccl_xml(NcclTopology const& topology) {
    pugi::xml_document document;
    auto system = document.append_child("system");
    system.append_attribute("version") = 1;
    for (auto const& cpu : topology.cpus) {
        auto node = system.append_child("cpu");
        if (!cpu.host_hash.empty()) node.append_attribute("host_hash") = cpu.host_hash.c_str();
        node.append_attribute("numaid") = cpu.numaid;
        node.append_attribute("affinity") = cpu.affinity.c_str();
        node.append_attribute("arch") = cpu.arch.c_str();
        if (!cpu.vendor.empty()) {
            node.append_attribute("vendor") = cpu.vendor.c_str();
            node.append_attribute("familyid") = cpu.familyid;
            node.append_attribute("modelid") = cpu.modelid;
        }
        for (auto const& device : cpu.devices) write_pci(node, device);
        write_nets(node, cpu.nets);
    }
    std::ostringstream out;
    document.save(out, "  ", pugi::format_indent | pugi::format_no_declaration);
    // NCCL's own parser is shown no space before the end of an element.
    std::string text = out.str();
    for (auto at = text.find("\" />"); at != std::string::npos; at = text.find("\" />", at)) {
        text.erase(at + 1, 1);
    }
    return text;
}

NcclTopology parse_nccl_xml(std::string const& text, std::string const& file) {
    return XmlReader(text, file).read();
}

NcclTopology load_nccl_xml(std::string const& path) {
    constexpr std::size_t bytes_max = 64 << 20;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ConfigError(fmt::format("{}: no such file (expected NCCL's topology XML)", path));
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream read;
    read << in.rdbuf();
    if (!in) throw ConfigError(fmt::format("{}: cannot be read", path));
    std::string const text = read.str();
    if (text.size() > bytes_max) {
        throw ConfigError(
            fmt::format("{}: {} bytes (expected at most {})", path, text.size(), bytes_max));
    }
    return parse_nccl_xml(text, path);
}

}  // namespace nvl72
