#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/study/import_parts.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72 {

namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(double value) { return significant(value, 6); }

/// A key of recipes that a job may tell otherwise, and what a recipe says of it.
struct SwitchOf {
    std::string_view key;
    std::string (*said)(Recipe const&);
};
constexpr std::array switches_of{
    SwitchOf{"overlap.tp", [](Recipe const& r) { return text_of(r.overlap.tp); }},
    SwitchOf{"overlap.dp", [](Recipe const& r) { return text_of(r.overlap.dp); }},
    SwitchOf{"overlap.pp", [](Recipe const& r) { return text_of(r.overlap.pp); }},
    SwitchOf{"overlap.ep", [](Recipe const& r) { return text_of(r.overlap.ep); }},
    SwitchOf{"overlap.shared_expert",
             [](Recipe const& r) { return text_of(r.overlap.shared_expert); }},
    SwitchOf{"moe.dispatcher", [](Recipe const& r) { return name_of(r.moe.dispatcher); }},
    SwitchOf{"moe.capacity", [](Recipe const& r) { return text_of(r.moe.capacity); }},
    SwitchOf{"state.distributed_optimizer",
             [](Recipe const& r) { return text_of(r.state.distributed_optimizer); }},
    SwitchOf{"state.gradient_bytes",
             [](Recipe const& r) { return text_of(r.state.gradient_bytes); }},
    SwitchOf{"state.optimizer_bytes",
             [](Recipe const& r) { return text_of(r.state.optimizer_bytes); }},
    SwitchOf{"recompute", [](Recipe const& r) { return "[" + join(r.recompute) + "]"; }},
    SwitchOf{"full_recompute", [](Recipe const& r) { return text_of(r.full_recompute); }},
    SwitchOf{"trains_weights", [](Recipe const& r) { return text_of(r.trains_weights); }},
};

/// A leaf, or the list that "[a, b]" is.
Value value_of(RecipeSwitch const& told) {
    if (!told.value.starts_with('[')) return leaf(told.value, told.source);
    std::vector<std::string> items;
    for (auto const& item : split(told.value.substr(1, told.value.size() - 2), ',')) {
        if (!trimmed(item).empty()) items.emplace_back(trimmed(item));
    }
    return leaf_list(items, told.source);
}

}  // namespace

std::vector<RecipeSwitch> different_switches(Recipe const& recipe,
                                             std::vector<RecipeSwitch> const& told) {
    std::vector<RecipeSwitch> different;
    for (auto const& one : told) {
        auto const found = std::ranges::find(switches_of, one.key, &SwitchOf::key);
        NVL72_EXPECT(found != switches_of.end(), "an imported switch is a key of recipes");
        if (found->said(recipe) != one.value) different.push_back(one);
    }
    return different;
}

std::string recipe_text(std::string const& base,
                        std::vector<RecipeSwitch> const& switches,
                        std::string const& of) {
    Value root;
    put(root, "base", leaf(base));
    put(root, "summary", leaf(fmt::format("{} with the switches of {}", base, of)));
    std::vector<std::string> maps;
    for (auto const& one : switches) {
        auto const dot = one.key.find('.');
        if (dot == std::string::npos) continue;
        auto const map = one.key.substr(0, dot);
        if (std::ranges::find(maps, map) == maps.end()) maps.push_back(map);
    }
    for (auto const& map : maps) {
        Value inner;
        for (auto const& one : switches) {
            if (one.key.starts_with(map + "."))
                put(inner, one.key.substr(map.size() + 1), value_of(one));
        }
        put(root, map, inner);
    }
    for (auto const& one : switches) {
        if (one.key.find('.') == std::string::npos) put(root, one.key, value_of(one));
    }
    return yaml_text(root);
}

}  // namespace nvl72
