#include "sim/cost/fabric_profile.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace nvl72 {

namespace {

constexpr std::array<std::string_view, 3> protocol_names{"ll", "ll128", "simple"};
constexpr std::array<std::string_view, 4> bands{"across, small", "across, middle", "across, large",
                                                "across, racks"};

template <class T>
void replace(T& value, std::optional<T> const& own) {
    if (own) value = *own;
}

auto row_named(SpreadTable& table, std::string const& name) {
    return std::ranges::find_if(table, [&](auto const& known) { return known.first == name; });
}

void put_row(SpreadTable& table, std::string const& name, SpreadRow const& row) {
    auto const same = row_named(table, name);
    if (same == table.end()) {
        table.emplace_back(name, row);
    } else {
        same->second = row;
    }
}

}  // namespace

std::vector<Field<FabricProfile>> const& fields_of(FabricProfile const*) {
    using F = FabricProfile;
    static std::vector<Field<F>> const fields{
        required("title", &F::title, "what it is, with its software"),
        required("calibrated", &F::calibrated, "true: from logs of such a fabric"),
        optional("line_rate", &F::line_rate, "", "of one GPU's NICs, where nothing tells it"),
        optional("nvls", &F::nvls, "true", "NVLS below the tree over domains"),
        optional("sharp", &F::sharp, "false", "its switches sum"),
        optional("protocols", &F::protocols, "", "ll | ll128 | simple; none: all"),
        optional("hop_ll", &F::hop_ll, "", "one step between domains, LL"),
        optional("hop_ll128", &F::hop_ll128, "", "the same, LL128"),
        optional("hop_simple", &F::hop_simple, "", "the same, Simple"),
        optional("message_gap", &F::message_gap, "", "least time of a ring step"),
        optional("message_gap_ll", &F::message_gap_ll, "", "the same of LL"),
        optional("ring_efficiency", &F::ring_efficiency, "", "of NIC line rate"),
        optional("alltoall_efficiency", &F::alltoall_efficiency, "", "of NIC line rate"),
        optional("alltoall_peer", &F::alltoall_peer, "", "start-up of one far peer"),
        optional("sendrecv_efficiency", &F::sendrecv_efficiency, "", "of NIC line rate"),
        optional("sendrecv_base", &F::sendrecv_base, "", "latency between domains"),
        optional("spread", &F::spread, "", "measured over predicted, by size"),
    };
    return fields;
}

void check(FabricProfile const& fabric) {
    for (auto const& protocol : fabric.protocols) {
        if (std::ranges::find(protocol_names, protocol) == protocol_names.end()) {
            fail(fabric.place, "protocols: '" + protocol + "'", "ll | ll128 | simple");
        }
    }
    for (auto const& share :
         {fabric.ring_efficiency, fabric.alltoall_efficiency, fabric.sendrecv_efficiency}) {
        if (share && !(*share > 0 && *share <= 1)) {
            fail(fabric.place, "an efficiency outside 0 to 1", "a share of line rate");
        }
    }
    for (auto const& row : fabric.spread) {
        if (std::ranges::find(bands, row.first) == bands.end()) {
            fail(row.second.place, "'" + row.first + "'",
                 "across, small | across, middle | across, large | across, racks");
        }
    }
    check(fabric.spread);
}

FabricProfile load_fabric_profile(Library const& library,
                                  std::string const& name,
                                  Place const& asked) {
    std::string const file =
        name == "ethernet" ? "roce" : name;  // as a cluster's network.kind says
    auto fabric = load_spec<FabricProfile>(library.path("fabrics", file, asked), nullptr);
    fabric.name = std::filesystem::path(file).stem().string();
    // What a profile does not say of its certainty is no surer than of a network nobody knows.
    if (fabric.name != "unknown") {
        for (auto const& row : load_fabric_profile(library, "unknown", asked).spread) {
            auto const own = std::ranges::find(fabric.spread, row.first,
                                               &std::pair<std::string, SpreadRow>::first);
            if (own == fabric.spread.end()) fabric.spread.push_back(row);
        }
    }
    return fabric;
}

Profile with_fabric(Profile profile, FabricProfile const& fabric) {
    if (!profile.collectives) return profile;
    auto& network = profile.collectives->network;
    network.fabric = fabric.name;
    network.calibrated = fabric.calibrated;
    network.nvls = fabric.nvls;
    network.sharp = fabric.sharp;
    network.protocols = fabric.protocols;
    replace(network.hop_ll, fabric.hop_ll);
    replace(network.hop_ll128, fabric.hop_ll128);
    replace(network.hop_simple, fabric.hop_simple);
    replace(network.message_gap, fabric.message_gap);
    replace(network.message_gap_ll, fabric.message_gap_ll);
    replace(network.ring_efficiency, fabric.ring_efficiency);
    replace(network.alltoall_efficiency, fabric.alltoall_efficiency);
    replace(network.alltoall_peer, fabric.alltoall_peer);
    replace(network.sendrecv_efficiency, fabric.sendrecv_efficiency);
    replace(network.sendrecv_base, fabric.sendrecv_base);
    for (auto const& row : fabric.spread) {
        for (auto const branch : EnumNames<CollectiveAlgorithm>::words) {
            if (branch == std::string_view("sendrecv")) continue;  // no fabric has a log of its own
            put_row(profile.spread, "collectives " + std::string(branch) + " " + row.first,
                    row.second);
        }
        put_row(profile.spread, "collectives alltoall " + row.first, row.second);
        // What NVLS decides is the GPU's, where that tells it.
        std::string const two = "collectives hierarchical across two, large";
        if (row.first == "across, large" &&
            row_named(profile.spread, two) == profile.spread.end()) {
            put_row(profile.spread, two, row.second);
        }
    }
    return profile;
}

Profile with_channels(Profile profile, int channels_min) {
    if (!profile.collectives) return profile;
    auto& channels = profile.collectives->tuner.network_channels;
    if (channels_min <= channels) return profile;
    auto& ring = profile.collectives->network.ring_bandwidth_max;
    ring = ring * (static_cast<double>(channels_min) / channels);
    channels = channels_min;
    return profile;
}

Profile with_network(Profile profile, Fabric const& network, Library const& library) {
    if (network.domains() < 2) return profile;
    auto const kind = network.cluster().network.kind;
    std::string const word = kind == NetworkKind::ethernet ? "roce" : name_of(kind);
    auto const shipped = library.names("fabrics");
    if (std::ranges::find(shipped, word) == shipped.end()) return profile;
    return with_fabric(std::move(profile), load_fabric_profile(library, word));
}

std::string fabric_name(Library const& library, std::string_view word) {
    std::string name;
    for (char const c : word) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    auto const shipped = library.names("fabrics");
    return std::ranges::find(shipped, name) != shipped.end() ? name : "unknown";
}

}  // namespace nvl72
