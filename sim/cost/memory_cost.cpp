#include "sim/cost/memory_cost.hpp"

#include "sim/base/error.hpp"

namespace nvl72 {

Cost memory_cost(MemorySection const& section, MemoryTraffic const& memory) {
    NVL72_EXPECT(memory.traffic.count > 0 && memory.kernels > 0, "a memory kernel has work");
    Basis basis{BasisKind::interpolated, ""};
    if (section.borrowed) basis = {BasisKind::extrapolated, "memory rate of " + *section.borrowed};
    if (!section.scaled.empty())
        basis = {BasisKind::datasheet, "memory scaled from " + section.scaled};
    return section::rounded({static_cast<double>(memory.kernels) * section.launch.count,
                             static_cast<double>(memory.traffic.count) / section.rate.count},
                            std::move(basis));
}

std::vector<Field<MemorySection>> const& fields_of(MemorySection const*) {
    static std::vector<Field<MemorySection>> const fields{
        required("rate", &MemorySection::rate, "HBM bytes read plus written per second"),
        required("launch", &MemorySection::launch, "launch of one kernel"),
        optional("borrowed", &MemorySection::borrowed, "",
                 "whose rate stands in, where none was measured"),
    };
    return fields;
}

void check(MemorySection const& section) {
    section::check_positive(section.place, "rate", section.rate.count);
}

}  // namespace nvl72
