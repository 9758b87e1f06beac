// races NAME: runs the collectives under ThreadSanitizer, as they are (`sound`) or with one
// mutation, which ThreadSanitizer must stop. Prints one line; `races --list` prints the mutations.

#include "kernels/collective/table.hpp"
#include "tests/kernels/races/crowd_ranks.hpp"
#include "tests/support/collective_reference.hpp"

#include <cstdio>
#include <functional>
#include <map>
#include <utility>

namespace nvl72::kernels::races {
namespace {

struct PublishesRelaxed : Orders {
    static constexpr auto publish = cuda::memory_order_relaxed;
};
struct ArrivesRelaxed : Orders {
    static constexpr auto arrive = cuda::memory_order_relaxed;
};
struct DrainsRelaxed : Orders {
    static constexpr auto drain = cuda::memory_order_relaxed;
};
struct TakesCreditRelaxed : Orders {
    static constexpr auto credit = cuda::memory_order_relaxed;
};
struct WaitsForNoCredit : Orders {
    static constexpr bool waits_for_credit = false;
};

/// Words whose data lies beside the flag instead of in one word with it.
template <class Team, class T>
struct FlagBesideData : Words<Team, T> {
    using Base = Words<Team, T>;
    T* data(std::int64_t i) const { return reinterpret_cast<T*>(this->words + 2 * i + 1); }
    Base flags(std::int64_t i) const { return {this->team, this->words + i, this->flag}; }
    T get(std::int64_t i) const {
        flags(i).get(i);
        return *data(i);
    }
    void put(std::int64_t i, T value) const {
        *data(i) = value;
        flags(i).put(i, value);
    }
    bool packed() const { return false; }
};
struct PacksApart : Orders {
    template <class Team, class T>
    using Packed = FlagBesideData<Team, T>;
};

template <std::size_t row, class Order>
constexpr Block block_of() {
    if constexpr (RowAt<row>::protocol == Protocol::multicast) {
        return nullptr;
    } else {
        return run_block<typename RowAt<row>::Body, RowAt<row>::protocol, Order>;
    }
}

template <std::size_t... row>
std::vector<Block> whole_table(std::index_sequence<row...>) {
    return {block_of<row, Orders>()...};
}

constexpr std::int64_t elements_max = 4096;
constexpr int sets = 2;

/// Slots of 128 bytes: 32 elements a message, 16 in low latency.
CrowdRanks crowd(int ranks, int channels, int lanes, std::vector<Block> blocks) {
    return {{.ranks = ranks,
             .bytes_max = elements_max * element_bytes,
             .sets = sets,
             .channels = channels,
             .slots = 2,
             .slot_bytes = 128},
            lanes,
            std::move(blocks)};
}

/// Every row, as single lanes and as crowds.
///   returns  "" or the first wrong element
std::string sound() {
    auto const blocks = whole_table(std::make_index_sequence<table_size>{});
    struct Shape {
        int ranks, channels, lanes;
    };
    for (auto const& shape : {Shape{2, 1, 1}, Shape{5, 1, 1}, Shape{2, 2, 2}, Shape{3, 1, 3}}) {
        auto ranks = crowd(shape.ranks, shape.channels, shape.lanes, blocks);
        for (std::size_t row = 0; row < table_size; ++row) {
            if (blocks[row] == nullptr) continue;
            std::vector<reference::Case> cases{{row, 333, false, 0, sets},
                                               {row, 50, true, 1, sets}};
            if (collectives()[row].op == Op::moe_dispatch ||
                collectives()[row].op == Op::moe_combine)
                cases = {{row, 168, false, 0, sets, 7}, {row, 15, false, 0, sets, 5}};
            for (auto const& c : cases)
                if (auto wrong = reference::difference<float>(ranks, c, sets, elements_max);
                    !wrong.empty())
                    return wrong;
        }
    }
    return "";
}

constexpr std::size_t row_of(std::string_view name, Protocol protocol) {
    std::size_t row = 0;
    std::size_t found = table_size;
    auto look = [&](auto const& r) {
        if (r.name == name && r.protocol == protocol) found = row;
        ++row;
    };
    std::apply([&](auto const&... r) { (look(r), ...); }, table);
    return found;
}

/// One row on 3 ranks, mutated.
template <std::size_t row, class Order>
std::string mutant() {
    std::vector<Block> blocks(table_size, nullptr);
    blocks[row] = block_of<row, Order>();
    auto ranks = crowd(3, 1, 1, blocks);
    // 8 elements a message of low latency: what lies apart still fits its slot.
    std::int64_t const count = RowAt<row>::protocol == Protocol::bulk ? 333 : 24;
    return reference::difference<float>(ranks, {row, count, false, 0, 4}, sets, elements_max);
}

constexpr auto ring = row_of("ring_all_reduce", Protocol::bulk);
constexpr auto ring_of_words = row_of("ring_all_reduce", Protocol::low_latency);
// Nothing but credits comes back along a chain; around a ring, data orders what they should.
constexpr auto chain = row_of("chain_broadcast", Protocol::bulk);

std::map<std::string, std::function<std::string()>, std::less<>> const runs{
    {"sound", sound},
    {"publish_relaxed", mutant<ring, PublishesRelaxed>},
    {"arrive_relaxed", mutant<ring, ArrivesRelaxed>},
    {"drain_relaxed", mutant<chain, DrainsRelaxed>},
    {"credit_relaxed", mutant<chain, TakesCreditRelaxed>},
    {"no_credit_wait", mutant<chain, WaitsForNoCredit>},
    {"flag_beside_data", mutant<ring_of_words, PacksApart>},
};

}  // namespace
}  // namespace nvl72::kernels::races

int main(int argc, char** argv) {
    using nvl72::kernels::races::runs;
    std::string const name = argc == 2 ? argv[1] : "--list";
    if (name == "--list") {
        for (auto const& [run, f] : runs) std::puts(run.c_str());
        return 0;
    }
    auto const run = runs.find(name);
    if (run == runs.end()) {
        std::fprintf(stderr, "races: unknown '%s' (expected one of races --list)\n", name.c_str());
        return 2;
    }
    std::string const wrong = run->second();
    std::printf("races: %s: %s\n", name.c_str(), wrong.empty() ? "right" : wrong.c_str());
    return wrong.empty() ? 0 : 1;
}
