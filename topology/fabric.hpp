#pragma once

#include "sim/base/ids.hpp"
#include "sim/base/table.hpp"
#include "topology/cluster.hpp"
#include "topology/shape.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// `count` parallel NVLink links from GPU `gpu` of a unit to switch chip `to` (or to GPU `to` where
/// there are no switches; such a pair is listed once from each side).
struct Wire {
    int gpu = 0;
    int to = 0;
    int count = 0;
};

/// The NVLink wiring of one unit. A GPU's links are numbered in the order of its wires.
struct Wiring {
    int gpus = 0;
    int chips = 0;  ///< 0: GPU to GPU
    std::vector<Wire> wires;
};

/// A row per kind of wiring.
struct TopologyKind {
    std::string_view name;
    std::string_view summary;
    Wiring (*build)(ClusterSpec const&);
};
std::span<TopologyKind const> topology_kinds();

/// Something derived from the wiring: `how` shows the derivation in numbers.
struct Fact {
    std::string name;   ///< stable: scripts read it
    std::string title;  ///< for people
    Cell value;
    std::string unit;
    std::string how;
};

/// A condition the wiring must meet.
struct Check {
    std::string name;
    bool holds = false;
    std::string how;
};

/// What is between two GPUs.
struct Route {
    int nvlink_switches = 0;
    int network_tiers = 0;     ///< 0: the path stays in NVLink
    int network_switches = 0;  ///< 2 * tiers - 1
};

/// What is down in one unit.
struct UnitFaults {
    std::vector<char> chip_down;               ///< by chip
    std::vector<std::vector<char>> link_down;  ///< by GPU of the unit, then link
    std::vector<int> nics_down;                ///< by GPU of the unit
};

/// The first `gpus` GPUs of a cluster, packed into as many units as they need, with their faults.
/// GPU = rank: rank r stands in NVLink domain r / gpus_per_domain.
class Fabric {
public:
    [[nodiscard]] std::int64_t gpus() const { return gpus_; }
    [[nodiscard]] std::int64_t units() const;    ///< racks or boxes in use
    [[nodiscard]] std::int64_t domains() const;  ///< NVLink domains in use
    [[nodiscard]] std::int64_t gpus_per_domain() const { return domain_; }
    [[nodiscard]] ClusterSpec const& cluster() const { return cluster_; }
    [[nodiscard]] GpuSpec const& gpu() const { return gpu_; }
    [[nodiscard]] Wiring const& wiring() const { return wiring_; }
    [[nodiscard]] Routing routing() const { return routing_; }
    [[nodiscard]] double routing_factor() const;
    [[nodiscard]] bool has_faults() const { return !faults_.empty(); }

    /// As built, without faults: one GPU into NVLink and into the network, one direction.
    [[nodiscard]] BytesPerSecond nvlink_per_gpu() const;
    [[nodiscard]] BytesPerSecond nic_per_gpu() const;
    /// With faults: what GPU `gpu` has left.
    [[nodiscard]] BytesPerSecond nvlink_of(std::int64_t gpu) const;
    [[nodiscard]] BytesPerSecond nic_of(std::int64_t gpu) const;

    /// Ranks first, first + stride, ..., `count` of them; the worst member counts. The work does
    /// not grow with `count`: only domains that differ in pattern or in faults are looked at.
    [[nodiscard]] GroupShape shape_of(std::int64_t first,
                                      std::int64_t stride,
                                      std::int64_t count) const;
    /// Any set of ranks, each domain looked at.
    [[nodiscard]] GroupShape shape_of(std::span<RankId const> ranks) const;

    [[nodiscard]] Route route(std::int64_t from, std::int64_t to) const;
    [[nodiscard]] std::vector<Fact> facts() const;
    [[nodiscard]] std::vector<Check> checks() const;
    [[nodiscard]] std::string dot() const;  ///< Graphviz of one unit

private:
    friend Fabric build_fabric(ClusterChoice const&, Library const&, Trail*);

    struct Seat {
        std::int64_t unit = 0;
        int slot = 0;  ///< GPU of the unit
    };
    struct Fold;

    [[nodiscard]] std::int64_t domains_per_unit() const { return cluster_.gpus_per_unit / domain_; }
    [[nodiscard]] Seat seat(std::int64_t gpu) const;
    [[nodiscard]] UnitFaults const* faults_of(std::int64_t unit) const;
    [[nodiscard]] int links_up(UnitFaults const* faults,
                               int slot,
                               std::span<std::int64_t const> members) const;
    [[nodiscard]] int planes_up(UnitFaults const& faults, int slot) const;
    [[nodiscard]] BytesPerSecond nic_at(UnitFaults const* faults, int slot) const;
    [[nodiscard]] int tiers(std::int64_t unit_a, std::int64_t unit_b) const;
    void fold_domain(Fold& fold, std::span<std::int64_t const> members) const;
    [[nodiscard]] GroupShape finish(Fold const& fold, std::int64_t first, std::int64_t last) const;
    [[nodiscard]] Fact bisection_fact() const;
    void add_fault_facts(std::vector<Fact>& facts) const;
    void mark(ClusterChoice const& choice);
    void mark_trays(ClusterChoice const& choice);
    void refuse_what_cannot_run(ClusterChoice const& choice) const;
    UnitFaults& faults_at(std::int64_t unit);

    ClusterSpec cluster_;
    GpuSpec gpu_;
    Wiring wiring_;
    std::vector<std::vector<int>> links_;  ///< by GPU of the unit: where each link goes
    std::int64_t gpus_ = 0;
    std::int64_t domain_ = 0;
    Routing routing_{};
    std::map<std::int64_t, UnitFaults> faults_;  ///< by unit
};

/// Loads the cluster and GPU, wires them, and applies the choice's size, faults and overrides.
/// Every impossible choice is a ConfigError at its place.
Fabric build_fabric(ClusterChoice const& choice, Library const& library, Trail* trail = nullptr);

}  // namespace nvl72
