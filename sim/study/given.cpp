#include "sim/study/given.hpp"

#include "sim/base/error.hpp"
#include "sim/config/write.hpp"

#include <algorithm>

namespace nvl72 {

Value given_of(Value const& given, std::string const& gpu) {
    Value const* gpus = given.find("gpus");
    Value const* own = gpus == nullptr ? nullptr : gpus->find(gpu);
    return own == nullptr ? Value{} : *own;
}

Value given_through_sisters(Value const& given, GpuSpec gpu, Library const& library) {
    while (true) {
        Value own = given_of(given, gpu.name);
        if (own.is_map() || !gpu.sister) return own;
        gpu = load_gpu(library, *gpu.sister, gpu.place);
    }
}

namespace {

/// `section` with the entries of `own` in place of its own, map by map.
void replace(Value& section, Value const& own) {
    for (auto const& entry : own.entries) {
        auto const found = std::ranges::find_if(
            section.entries, [&](auto const& old) { return old.name == entry.name; });
        if (found == section.entries.end()) {
            put(section, entry.name, entry.value);
        } else if (found->value.is_map() && entry.value.is_map()) {
            replace(found->value, entry.value);
        } else {
            found->value = entry.value;
        }
    }
}

Spread another_count(Value const& file) {
    Value const* pair = file.find("another_count");
    if (pair == nullptr || !pair->is_list() || pair->items.size() != 2) {
        fail(file.place, "no another_count", "[low, high]: measured over predicted");
    }
    return {ValueType<double>::read(pair->items[0]), ValueType<double>::read(pair->items[1])};
}

}  // namespace

CollectiveGiven collective_given(Library const& library, std::string const& gpu) {
    Value const file = load_yaml(library.folder() + "/measurements/collectives/given.yaml");
    Value const* gpus = file.find("gpus");
    Value const* families = file.find("families");
    auto const family_of = [](Value const& entry) {
        Value const* family = entry.find("family");
        return family == nullptr ? std::string() : family->scalar;
    };
    std::string known = gpu;
    while (gpus == nullptr || gpus->find(known) == nullptr) {
        GpuSpec const spec = load_gpu(library, known, {"--gpu", 0, ""});
        if (!spec.sister) fail(file.place, "nothing of " + known, "gpus." + known);
        known = *spec.sister;
    }
    Value own = *gpus->find(known);
    auto const family = family_of(own);
    Value const* shared = families == nullptr ? nullptr : families->find(family);
    if (shared == nullptr) fail(own.place, "no family '" + family + "'", "a key of families");
    CollectiveGiven given{*shared, {gpu}, another_count(file)};
    std::erase_if(own.entries, [](auto const& entry) { return entry.name == "family"; });
    replace(given.section, own);
    if (known != gpu) return given;
    for (auto const& entry : gpus->entries) {
        if (family_of(entry.value) == family) given.gpus.insert(entry.name);
    }
    return given;
}

}  // namespace nvl72
