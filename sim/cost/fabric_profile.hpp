#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "topology/fabric.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What joins NVLink domains, with its software: configs/fabrics/NAME.yaml. What it leaves out is
/// as the GPU's own profile has it, which is fitted to InfiniBand.
struct FabricProfile {
    Place place;
    std::string name;  ///< of the file
    std::string title;
    bool calibrated = false;                  ///< from logs of such a fabric
    std::optional<BytesPerSecond> line_rate;  ///< of one GPU's NICs, where nothing tells it
    bool nvls = true;                         ///< NCCL_NVLS_ENABLE
    bool sharp = false;                       ///< its switches sum
    std::vector<std::string> protocols;       ///< NCCL_PROTO: ll, ll128, simple; empty: all
    std::optional<Seconds> hop_ll, hop_ll128, hop_simple, message_gap, message_gap_ll,
        alltoall_peer, sendrecv_base;
    std::optional<double> ring_efficiency, alltoall_efficiency, sendrecv_efficiency;
    SpreadTable spread;  ///< rows that replace the profile's: by "across, small", "middle",
                         ///< "large", "racks"
};

std::vector<Field<FabricProfile>> const& fields_of(FabricProfile const*);
void check(FabricProfile const& fabric);

/// The fabric of a name, or of a path that ends in .yaml; `asked` is where it was written.
FabricProfile load_fabric_profile(Library const& library,
                                  std::string const& name,
                                  Place const& asked = {});

/// `profile` with its network as the fabric says; a profile without collectives stays as it is.
Profile with_fabric(Profile profile, FabricProfile const& fabric);

/// `profile` of a run that asked NCCL for so many channels (NCCL_MIN_NCHANNELS): rings over domains
/// then carry more, in proportion. 0, or fewer than NCCL's own: as it is.
Profile with_channels(Profile profile, int channels_min);

/// The same as a cluster's network says, where `network` is one of several NVLink domains.
Profile with_network(Profile profile, Fabric const& network, Library const& library);

/// The shipped fabric of a word that an index or a table states ("infiniband", "RoCE"); of a word
/// that is none of them, and of "", the fabric "unknown".
std::string fabric_name(Library const& library, std::string_view word);

}  // namespace nvl72
