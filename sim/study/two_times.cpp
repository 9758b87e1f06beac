#include "sim/study/two_times.hpp"

#include "sim/config/quantity.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<TwoTimes>> const& fields_of(TwoTimes const*) {
    using T = TwoTimes;
    static std::vector<Field<T>> const fields{
        required("gpu", &T::gpu, "as configs/gpus names it"),
        required("operation", &T::operation, "as nccl-tests names it"),
        required("least", &T::least, "full buffer"),
        required("most", &T::most, "full buffer"),
    };
    return fields;
}

std::vector<TwoTimes> read_two_times(Library const& library) {
    auto const file = load_yaml(library.folder() + "/measurements/collectives/two-times.yaml");
    Value const* list = file.find("two_times");
    if (list == nullptr || !list->is_list()) fail(file.place, "no list", "two_times, a list");
    std::vector<TwoTimes> all;
    for (auto const& item : list->items) all.push_back(read_spec<TwoTimes>(item, nullptr));
    return all;
}

std::string two_times_of(std::vector<TwoTimes> const& all,
                         std::string const& gpu,
                         std::string const& operation,
                         std::int64_t bytes) {
    auto const size = static_cast<double>(bytes);
    auto const found = std::ranges::find_if(all, [&](TwoTimes const& one) {
        return one.gpu == gpu && name_of(one.operation) == operation && one.least.count <= size &&
               size <= one.most.count;
    });
    if (found == all.end()) return {};
    return fmt::format("{} to {}", ValueType<BufferSize>::write(found->least),
                       ValueType<BufferSize>::write(found->most));
}

}  // namespace nvl72
