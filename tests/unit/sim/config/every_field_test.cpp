// Every field of every spec, fed what it cannot take and left out where it is required.
#include "sim/base/error.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/architecture.hpp"
#include "sim/serving/requests.hpp"
#include "sim/serving/step_cost.hpp"
#include "sim/study/experiment.hpp"
#include "sim/study/serving_experiment.hpp"
#include "sim/study/workload_experiment.hpp"
#include "sim/training/recipe.hpp"
#include "topology/cluster.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <regex>

namespace nvl72 {
namespace {

/// What an error says; "" when there was none.
template <class Act>
std::string said(Act const& act) {
    try {
        act();
    } catch (Error const& error) {
        return error.code() == ExitCode::bad_input ? error.what() : "not bad input";
    }
    return "";
}

bool names_place(std::string const& message, std::string const& key) {
    std::string const start = "spec.yaml:1: " + key;
    static std::regex const form(R"(spec\.yaml:1: [^ ]+: .+ \(expected .+\))");
    return message.starts_with(start) && message.find('\n') == std::string::npos &&
           std::regex_match(message, form);
}

/// `key: TEXT` as a file would give it, to the field itself.
template <class Spec>
std::string answer(Field<Spec> const& field, std::string const& text) {
    Value const file = parse_yaml(field.key + ": " + text, "spec.yaml");
    return said([&] {
        Spec spec{};
        field.read(spec, file.entries.at(0).value, nullptr);
    });
}

template <class Spec>
class EveryField : public testing::Test {};

using Specs = testing::Types<GpuSpec,
                             PeakRates,
                             ClusterSpec,
                             NvlinkSpec,
                             NicSpec,
                             HostSpec,
                             RoutingFactors,
                             NetworkSpec,
                             ClusterChoice,
                             FaultsSpec,
                             FabricChoice,
                             Layout,
                             Recipe,
                             PrecisionPolicy,
                             OverlapPolicy,
                             StatePolicy,
                             MemoryReserve,
                             Architecture,
                             SystemSpec,
                             Published,
                             MeasuredRun,
                             ProfileFile,
                             GemmSection,
                             GemmRow,
                             GemmLikeness,
                             AttentionSection,
                             AttentionRow,
                             MemorySection,
                             CollectiveSection,
                             MeasuredRegion,
                             RingLlBranch,
                             RingLl128Branch,
                             RingSimpleBranch,
                             NvlsBranch,
                             AlltoallLlBranch,
                             AlltoallSimpleBranch,
                             SendrecvBranch,
                             NetworkBranch,
                             TreeBranch,
                             SymmetricBranch,
                             LaunchBranch,
                             TunerTree,
                             TunerOthers,
                             FabricProfile,
                             TunerConstants,
                             TunerLatency,
                             SpreadRow,
                             EngineProfile,
                             ServingPrecision,
                             StepPolicy,
                             KernelPolicy,
                             BatchPolicy,
                             HostPolicy,
                             Speculation,
                             ServingSpread,
                             ServingLayout,
                             RequestSource,
                             PromptLayer,
                             ToolUse,
                             PrefixCacheChoice,
                             ServiceLimits,
                             PrefillChoice,
                             ServingChoice,
                             PublishedServing,
                             ServingSystem,
                             PoolChoice,
                             LinkChoice,
                             FlowChoice,
                             PhaseChoice,
                             PublishedWorkload,
                             WorkloadSystem>;
TYPED_TEST_SUITE(EveryField, Specs);

TYPED_TEST(EveryField, RefusesAValueOfTheWrongKind) {
    for (auto const& field : fields_of(static_cast<TypeParam const*>(nullptr))) {
        if (field.expects == "any value") continue;  // its owner judges it
        EXPECT_PRED2(names_place, answer(field, "{zzz: [x]}"), field.key);
        if (field.expects == "a text") continue;
        for (char const* wrong : {"@wrong", "[[x]]", "12 parsecs", "nan", "0x10 q", "yes please"}) {
            std::string const quoted = wrong[0] == '[' ? wrong : "'" + std::string(wrong) + "'";
            EXPECT_PRED2(names_place, answer(field, quoted), field.key) << wrong;
        }
    }
}

TYPED_TEST(EveryField, RefusesAKeyWithNothingBehindIt) {
    for (auto const& field : fields_of(static_cast<TypeParam const*>(nullptr))) {
        Value const file = parse_yaml(field.key + ":", "spec.yaml");
        auto const message = said([&] { read_spec<TypeParam>(file, nullptr); });
        EXPECT_FALSE(message.empty()) << field.key;
        EXPECT_EQ(message.find('\n'), std::string::npos);
    }
}

TYPED_TEST(EveryField, SuggestsTheKeyThatWasMistyped) {
    for (auto const& field : fields_of(static_cast<TypeParam const*>(nullptr))) {
        if (field.key.size() < 4) continue;
        Value const file = parse_yaml(field.key + "x: 1", "spec.yaml");
        auto const message = said([&] { read_spec<TypeParam>(file, nullptr); });
        EXPECT_TRUE(message.starts_with("spec.yaml:1: " + field.key + "x: unknown key, did you"))
            << message;
    }
}

TYPED_TEST(EveryField, HasHelpForTheReference) {
    for (auto const& field : fields_of(static_cast<TypeParam const*>(nullptr))) {
        EXPECT_FALSE(field.expects.empty()) << field.key;
    }
}

/// Takes each required key out of a map that is otherwise right.
template <class Spec>
void expect_required(Value const& whole) {
    ASSERT_EQ(said([&] { read_spec<Spec>(whole, nullptr); }), "");
    for (auto const& field : fields_of(static_cast<Spec const*>(nullptr))) {
        if (field.fallback) continue;
        Value less = whole;
        std::erase_if(less.entries, [&](auto const& entry) { return entry.name == field.key; });
        auto const message = said([&] { read_spec<Spec>(less, nullptr); });
        EXPECT_NE(message.find(field.key + ": missing (expected " + field.expects),
                  std::string::npos)
            << field.key << ": " << message;
    }
}

Value shipped(std::string const& name) {
    return load_yaml(std::string(NVL72_SOURCE_DIR) + "/configs/" + name + ".yaml");
}

TEST(RequiredField, IsMissedByName) {
    expect_required<GpuSpec>(shipped("gpus/h100"));
    expect_required<Recipe>(shipped("recipes/megatron-bridge-26.06"));
    expect_required<MemoryReserve>(*shipped("recipes/megatron-bridge-26.06").find("reserve"));
    expect_required<ProfileFile>(shipped("calibration/h100"));
    auto const engine = shipped("engines/generic");
    expect_required<EngineProfile>(engine);
    expect_required<StepPolicy>(*engine.find("step"));
    expect_required<KernelPolicy>(*engine.find("kernels"));
    expect_required<BatchPolicy>(*engine.find("batch"));
    expect_required<HostPolicy>(*engine.find("host"));
    expect_required<ServingPrecision>(*engine.find("precisions")->find("fp8"));
    auto const cluster = shipped("clusters/hgx-h100");
    expect_required<ClusterSpec>(cluster);
    expect_required<NvlinkSpec>(*cluster.find("nvlink"));
    expect_required<NicSpec>(*cluster.find("nics"));
    expect_required<HostSpec>(*cluster.find("host"));
    expect_required<NetworkSpec>(*cluster.find("network"));
    expect_required<RoutingFactors>(*cluster.find("network")->find("routing_factor"));
    auto const profile = shipped("calibration/h100");
    expect_required<GemmSection>(*profile.find("gemm"));
    expect_required<AttentionSection>(*profile.find("attention"));
    expect_required<MemorySection>(*profile.find("memory"));
    expect_required<CollectiveSection>(*profile.find("collectives"));
    expect_required<Architecture>(
        parse_yaml("{layers: 1, hidden: 8, heads: 1, kv_heads: 1, head_dim: 8, ffn: 8, vocab: 8, "
                   "max_sequence: 8}",
                   "model.yaml"));
    expect_required<SystemSpec>(
        parse_yaml("{cluster: {name: gb200-nvl72}, layout: {}, model: m, recipe: r, precision: "
                   "fp8, sequence_length: 1, global_batch: 1}",
                   "system.yaml"));
}

}  // namespace
}  // namespace nvl72
