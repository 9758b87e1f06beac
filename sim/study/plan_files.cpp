#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/study/plan_answer.hpp"
#include "sim/study/training_rows.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr char const* chosen = "derived: nvl72sim plan";

Value* entry(Value& map, std::string const& key) {
    for (auto& item : map.entries) {
        if (item.name == key) return &item.value;
    }
    return nullptr;
}

void drop(Value& map, std::string const& key) {
    std::erase_if(map.entries, [&](NamedValue const& item) { return item.name == key; });
}

void replace(Value& map, std::string const& key, Value value) {
    drop(map, key);
    put(map, key, std::move(value));
}

/// A layout's keys that are no defaults, with their values.
std::vector<std::pair<std::string, std::string>> layout_keys(LayoutPoint const& point) {
    Layout const layout = layout_of(point);
    std::vector<std::pair<std::string, std::string>> keys;
    auto const add = [&](std::string key, auto const& value, auto const& fallback) {
        if (value != fallback) keys.emplace_back(std::move(key), fmt::format("{}", value));
    };
    add("tp", layout.tp, 0);
    add("pp", layout.pp, 0);
    add("cp", layout.cp, 1);
    add("vp", layout.vp, 1);
    add("ep", layout.ep, 1);
    add("expert_tp", layout.expert_tp.value_or(1), 1);
    add("fsdp", layout.fsdp, std::int64_t{1});
    add("micro_batch", layout.micro_batch, std::int64_t{0});
    bool const usual = &pipeline_schedules.at(point.schedule) == &default_schedule(point.vp);
    if (!usual) keys.emplace_back("schedule", *layout.schedule);
    add("sequence_parallel", layout.sequence_parallel, true);
    add("embedding_and_loss_as_layers", layout.embedding_and_loss_as_layers, false);
    add("uneven_layers", layout.uneven_layers, false);
    add("embedding_stage", name_of(layout.embedding_stage), name_of(EndStage::with_layers));
    add("loss_stage", name_of(layout.loss_stage), name_of(EndStage::with_layers));
    add("cp_comm_type", name_of(layout.cp_comm_type), name_of(CpExchange::p2p));
    return keys;
}

}  // namespace

std::vector<PlanFile> plan_files(Value root,
                                 std::vector<SystemPlan> const& plans,
                                 std::string const& output) {
    std::vector<PlanFile> recipes;
    for (char const* key : {"layout", "sweep"}) drop(root, key);
    Value* systems = entry(root, "systems");
    NVL72_EXPECT(systems != nullptr && systems->items.size() == plans.size(), "a plan a system");
    for (std::size_t i = 0; i < plans.size(); ++i) {
        Value& system = systems->items[i];
        PlanRow const& best = plans[i].rows.front();
        for (char const* key : {"published", "measured"}) drop(system, key);
        Value layout;
        for (auto const& [key, value] : layout_keys(*best.layout))
            put(layout, key, leaf(value, chosen));
        replace(system, "layout", std::move(layout));
        if (Value* cluster = entry(system, "cluster")) {
            auto const& choice = plans[i].job.point.system.cluster;
            replace(*cluster, "gpus", leaf(std::to_string(best.gpus), chosen));
            drop(*cluster, "nvlink_domain");
            if (choice.nvlink_domain > 0)
                put(*cluster, "nvlink_domain", leaf(std::to_string(choice.nvlink_domain), chosen));
        }
        auto const& recipe = plans[i].job.recipes.at(best.layout->recipe);
        if (recipe.switches.empty()) continue;
        std::filesystem::path path(output);
        std::string const number = plans.size() > 1 ? fmt::format("-{}", i) : "";
        path.replace_filename(path.stem().string() + "-recipe" + number + ".yaml");
        std::string const base = plans[i].job.point.system.recipe.value;
        recipes.push_back(
            {path.string(), recipe_text(base, recipe.switches, "nvl72sim plan's layout")});
        replace(system, "recipe", leaf(path.filename().string(), chosen));  // beside it
    }
    std::vector<PlanFile> files{{output, yaml_text(root)}};
    files.insert(files.end(), recipes.begin(), recipes.end());
    return files;
}

std::string plan_overrides(SystemPlan const& plan, std::size_t system) {
    PlanRow const& best = plan.rows.front();
    if (!plan.job.recipes.at(best.layout->recipe).switches.empty()) return "";
    Value layout;
    for (auto const& [key, value] : layout_keys(*best.layout)) put(layout, key, leaf(value));
    std::string words = fmt::format("'systems.{}.layout={{", system);
    for (std::size_t i = 0; i < layout.entries.size(); ++i) {
        words += fmt::format("{}{}: {}", i > 0 ? ", " : "", layout.entries[i].name,
                             layout.entries[i].value.scalar);
    }
    words += "}'";
    if (best.gpus != plan.job.point.system.cluster.gpus)
        words += fmt::format(" systems.{}.cluster.gpus={}", system, best.gpus);
    return words;
}

Value experiment_of(PlanJobWords const& words, LoadedConfigs& configs) {
    auto const at = [](char const* option, std::string const& text) {
        Value value = leaf(text);
        value.place = {option, 0, ""};
        return value;
    };
    Place const asked{"--cluster", 0, ""};
    ClusterSpec const cluster = load_cluster(configs.library(), words.cluster, asked);
    std::string recipe = words.recipe;
    if (recipe.empty()) {
        auto const gpu = load_gpu(configs.library(), cluster.gpu, asked);
        MeasuredTraining run;
        recipe = recipe_named(run, name_of(gpu.architecture), configs);
        auto const has = [&](Recipe const& one) {
            return std::ranges::any_of(one.precisions, [&](auto const& precision) {
                return precision.first == words.precision;
            });
        };
        auto const& all = configs.recipes();
        auto const own = std::ranges::find(all, recipe, &std::pair<std::string, Recipe>::first);
        // Of what the newest does not know, the first that does; it may be the GPU that does not.
        if (own != all.end() && !has(own->second)) {
            auto const other =
                std::ranges::find_if(all, [&](auto const& one) { return has(one.second); });
            if (other != all.end()) recipe = other->first;
        }
    }
    Value root;
    root.place = {"plan", 0, ""};
    auto const title = fmt::format("{} on {} {}", words.model, words.gpus, words.cluster);
    put(root, "title", leaf(title));
    put(root, "question", leaf("Which layout is best?"));
    put(root, "model", at("--model", words.model));
    put(root, "recipe", at("--recipe", recipe));
    put(root, "precision", at("--precision", words.precision));
    std::int64_t sequence = words.sequence;
    if (sequence == 0) {
        auto const path = configs.library().path("models", words.model, {"--model", 0, ""});
        std::int64_t const positions = configs.architecture(path).max_sequence;
        // Megatron's customary length, or what positions the model has.
        sequence = positions > 0 ? std::min<std::int64_t>(4096, positions) : 4096;
    }
    put(root, "sequence_length", at("--sequence", std::to_string(sequence)));
    put(root, "global_batch", at("--global-batch", std::to_string(words.global_batch)));
    Value choice;
    choice.place = asked;
    put(choice, "name", at("--cluster", words.cluster));
    put(choice, "gpus", at("--gpus", std::to_string(words.gpus)));
    Value system;
    system.place = {"plan", 0, ""};
    put(system, "cluster", std::move(choice));
    Value systems;
    systems.kind = Value::Kind::list;
    systems.items.push_back(std::move(system));
    put(root, "systems", std::move(systems));
    return root;
}

std::vector<bool> complete_layouts(Value& root) {
    bool const shared = root.find("layout") != nullptr;
    Value* systems = entry(root, "systems");
    std::vector<bool> own;
    if (systems == nullptr) return own;
    for (Value& system : systems->items) {
        own.push_back(shared || system.find("layout") != nullptr);
        if (own.back()) continue;
        Value none;
        none.kind = Value::Kind::map;
        none.place = system.place;
        put(system, "layout", std::move(none));
    }
    return own;
}

}  // namespace nvl72
