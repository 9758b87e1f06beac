#include "sim/serving/engine.hpp"

#include "sim/base/error.hpp"
#include "sim/base/names.hpp"
#include "sim/base/text.hpp"
#include "sim/config/based.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<ServingPrecision>> const& fields_of(ServingPrecision const*) {
    static std::vector<Field<ServingPrecision>> const fields{
        required("linear", &ServingPrecision::linear, "GEMMs of transformer blocks"),
        required("experts", &ServingPrecision::experts, "GEMMs of routed experts"),
        optional("beside_experts", &ServingPrecision::beside_experts, "",
                 "other GEMMs of blocks in a model with experts; default: as linear"),
        optional("head", &ServingPrecision::head, "bf16", "the output layer's GEMM"),
        optional("attention", &ServingPrecision::attention, "bf16", "scores and weighted values"),
        required("kv", &ServingPrecision::kv, "the key-value cache"),
        optional("quantised_apart", &ServingPrecision::quantised_apart, "false",
                 "operands are quantised by kernels of their own, not within the one before"),
        optional("also", &ServingPrecision::also, "", "other words for it in tables of runs"),
    };
    return fields;
}

std::vector<Field<StepPolicy>> const& fields_of(StepPolicy const*) {
    static std::vector<Field<StepPolicy>> const fields{
        required("step", &StepPolicy::step, "scheduling and sampling of a step"),
        required("layer", &StepPolicy::layer, "of each layer, besides its kernels"),
        required("expert_layer", &StepPolicy::expert_layer, "more for a layer of experts"),
        required("latent_layer", &StepPolicy::latent_layer,
                 "more for a layer of attention over a latent"),
        required("all_reduce", &StepPolicy::all_reduce, "of each all-reduce, besides it"),
        required("sequence", &StepPolicy::sequence, "host work for each running sequence"),
        required("overlap_norm", &StepPolicy::overlap_norm,
                 "p by which that and the GPU's part overlap; 1: one after the other"),
        required("eager_layer", &StepPolicy::eager_layer,
                 "least time of a layer in a step with a prompt, which no CUDA graph holds"),
    };
    return fields;
}

std::vector<Field<KernelPolicy>> const& fields_of(KernelPolicy const*) {
    static std::vector<Field<KernelPolicy>> const fields{
        required("gemm", &KernelPolicy::gemm, "time of dense GEMMs over the calibration's"),
        required("experts", &KernelPolicy::experts, "time of experts' GEMMs over it"),
        required("attention", &KernelPolicy::attention, "time of attention over a cache over it"),
        required("prompt", &KernelPolicy::prompt, "time of all kernels in a step with a prompt"),
        required("prompt_experts", &KernelPolicy::prompt_experts,
                 "and of experts in such a step once more"),
        required("launch", &KernelPolicy::launch, "share of kernels' launches that graphs leave"),
        required("skew", &KernelPolicy::skew, "an expert's popularity falls with rank^-skew"),
        required("elementwise", &KernelPolicy::elementwise,
                 "share of elementwise traffic that fusion leaves"),
        optional("tile_rows", &KernelPolicy::tile_rows, "",
                 "heights of its GEMMs' tiles besides those of the calibration"),
        optional("exchange_fused", &KernelPolicy::exchange_fused, "true",
                 "fused exchanges of tokens, where the calibration has them"),
    };
    return fields;
}

std::vector<Field<BatchPolicy>> const& fields_of(BatchPolicy const*) {
    static std::vector<Field<BatchPolicy>> const fields{
        required("sequences_max", &BatchPolicy::sequences_max,
                 "running sequences of a group of attention ranks"),
        required("tokens_max", &BatchPolicy::tokens_max, "new tokens of a step of such a group"),
        optional("chunked", &BatchPolicy::chunked, "true", "prompts may be cut over steps"),
        required("admission", &BatchPolicy::admission,
                 "reserve: room for all its tokens at once; grow: as they come, with eviction"),
        required("memory_share", &BatchPolicy::memory_share,
                 "of the memory that weights and reserve leave, for the cache"),
        optional("share_of_all", &BatchPolicy::share_of_all, "false",
                 "memory_share is of the whole GPU, weights and reserve included"),
        required("reserve", &BatchPolicy::reserve, "of each GPU, besides weights and cache"),
        optional("idle_slots", &BatchPolicy::idle_slots, "0",
                 "of sequences_max, that never hold a request"),
    };
    return fields;
}

std::vector<Field<HostPolicy>> const& fields_of(HostPolicy const*) {
    static std::vector<Field<HostPolicy>> const fields{
        required("request", &HostPolicy::request, "before a prompt reaches the batch"),
        required("token", &HostPolicy::token, "to send one token, one after the other"),
        optional("stream_tokens", &HostPolicy::stream_tokens, "1", "tokens that travel together"),
    };
    return fields;
}

std::vector<Field<Speculation>> const& fields_of(Speculation const*) {
    static std::vector<Field<Speculation>> const fields{
        optional("drafts", &Speculation::drafts, "0", "draft tokens of a step; 0: none"),
        optional("accepted", &Speculation::accepted, "0", "of them right, on average"),
    };
    return fields;
}

std::vector<Field<ServingSpread>> const& fields_of(ServingSpread const*) {
    static std::vector<Field<ServingSpread>> const fields{
        required("ttft", &ServingSpread::ttft, "measured over predicted, 10th and 90th percentile"),
        required("tpot", &ServingSpread::tpot, "the same of TPOT, and of rates turned over"),
    };
    return fields;
}

std::vector<Field<EngineProfile>> const& fields_of(EngineProfile const*) {
    static std::vector<Field<EngineProfile>> const fields{
        required("summary", &EngineProfile::summary, "one line: which software, which releases"),
        optional("software", &EngineProfile::software, "", "whose releases these are"),
        optional("architecture", &EngineProfile::architecture, "",
                 "of the GPUs it is for, as configs/gpus say; default: any"),
        optional("releases", &EngineProfile::releases, "",
                 "that it is for, as they begin; default: any"),
        required("precisions", &EngineProfile::precisions, "what each precision word means"),
        required("step", &EngineProfile::step, "what a step takes besides its kernels"),
        required("kernels", &EngineProfile::kernels, "its kernels against the calibration's"),
        required("batch", &EngineProfile::batch, "limits of a batch and of the cache"),
        required("host", &EngineProfile::host, "the host's part"),
        optional("speculation", &EngineProfile::speculation, "", "draft tokens"),
        optional("spread", &EngineProfile::spread, "", "how far measurements lie, by regime"),
    };
    return fields;
}

namespace {

/// What a number can be; outside it is a slip of the hand.
void expect_within(
    EngineProfile const& engine, char const* key, double value, double least, double most) {
    if (value >= least && value <= most) return;
    Place place = engine.place;
    place.key = key;
    fail(place, fmt::format("{:g}", value), fmt::format("{:g} to {:g}", least, most));
}

void check_engine(EngineProfile const& engine) {
    auto const& kernels = engine.kernels;
    auto const& batch = engine.batch;
    for (auto const& [key, value] : {std::pair{"kernels.gemm", kernels.gemm},
                                     {"kernels.experts", kernels.experts},
                                     {"kernels.attention", kernels.attention},
                                     {"kernels.prompt", kernels.prompt},
                                     {"kernels.prompt_experts", kernels.prompt_experts}}) {
        expect_within(engine, key, value, 0.1, 20);
    }
    expect_within(engine, "kernels.launch", kernels.launch, 0, 1);
    expect_within(engine, "step.overlap_norm", engine.step.overlap_norm, 1, 100);
    expect_within(engine, "kernels.skew", kernels.skew, 0, 3);
    expect_within(engine, "kernels.elementwise", kernels.elementwise, 0, 3);
    expect_within(engine, "batch.memory_share", batch.memory_share, 0.01, 1);
    expect_within(engine, "batch.sequences_max", static_cast<double>(batch.sequences_max), 1, 1e6);
    expect_within(engine, "batch.tokens_max", static_cast<double>(batch.tokens_max), 1, 1e7);
    expect_within(engine, "batch.idle_slots", static_cast<double>(batch.idle_slots), 0,
                  static_cast<double>(batch.sequences_max - 1));
    expect_within(engine, "host.stream_tokens", static_cast<double>(engine.host.stream_tokens), 1,
                  1e5);
    auto const& speculation = engine.speculation;
    expect_within(engine, "speculation.drafts", speculation.drafts, 0, 7);
    expect_within(engine, "speculation.accepted", speculation.accepted, 0, speculation.drafts);
}

std::string beside(std::string const& path, Value const& base) {
    auto const file = std::filesystem::path(path).parent_path() / (base.scalar + ".yaml");
    if (!std::filesystem::exists(file)) {
        fail(base.place, "'" + base.scalar + "'", "the name of an engine beside this one");
    }
    return file.string();
}

}  // namespace

EngineProfile load_engine(std::string const& path, Trail* trail) {
    Value const file = load_based(path, [&](Value const& base) { return beside(path, base); });
    auto engine = read_spec<EngineProfile>(file, trail);
    engine.name = std::filesystem::path(path).stem().string();
    engine.place = {path, 1, ""};
    check_engine(engine);
    return engine;
}

ServingPrecision const& precision_of(EngineProfile const& engine,
                                     std::string const& word,
                                     Place const& asked) {
    std::vector<std::string> words;
    auto const same = [asked_for = letters_and_digits(word)](std::string const& known) {
        return letters_and_digits(known) == asked_for;
    };
    for (auto const& [name, precision] : engine.precisions) {
        if (same(name) || std::ranges::any_of(precision.also, same)) return precision;
        words.push_back(name);
    }
    auto const near = nearest_name(word, words);
    fail(asked, fmt::format("'{}'{}", word, near.empty() ? "" : ", did you mean " + near + "?"),
         fmt::format("a precision of engine {}: {}", engine.name, join(words, " | ")));
}

}  // namespace nvl72
