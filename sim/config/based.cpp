#include "sim/config/based.hpp"

#include <utility>

namespace nvl72 {

namespace {

constexpr int bases_max = 4;

/// `change` laid over `base`, key by key.
Value merged(Value base, Value const& change) {
    if (!base.is_map() || !change.is_map()) return change;
    base.place = change.place;
    for (auto const& [key, value] : change.entries) {
        bool found = false;
        for (auto& [name, old] : base.entries) {
            if (name != key) continue;
            old = merged(std::move(old), value);
            found = true;
        }
        if (!found) base.entries.push_back({key, value});
    }
    return base;
}

Value load_over(std::string const& path,
                std::function<std::string(Value const& base)> const& file_of,
                int depth) {
    Value file = load_yaml(path);
    Value const* base = file.find("base");
    if (base == nullptr) return file;
    if (depth > bases_max) {
        fail(base->place, "bases nested too deep, or in a circle", "at most 4");
    }
    Value under = load_over(file_of(*base), file_of, depth + 1);
    std::erase_if(file.entries, [](auto const& entry) { return entry.name == "base"; });
    return merged(std::move(under), file);
}

}  // namespace

Value load_based(std::string const& path,
                 std::function<std::string(Value const& base)> const& file_of) {
    return load_over(path, file_of, 0);
}

}  // namespace nvl72
