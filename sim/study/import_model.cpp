#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/study/import_parts.hpp"
#include "sim/study/training_rows.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(std::int64_t value) { return std::to_string(value); }

/// A field of an architecture by its key in our .yaml.
struct ModelField {
    char const* key;
    std::string value, fallback;  ///< "": must be written
};

/// All that tells one architecture from another, the vocabulary and positions apart.
std::vector<ModelField> shape_of(Architecture const& a) {
    std::vector<ModelField> fields{
        {"layers", text_of(std::int64_t{a.layers}), ""},
        {"hidden", text_of(a.hidden), ""},
        {"heads", text_of(a.heads), ""},
        {"kv_heads", text_of(a.kv_heads), ""},
        {"head_dim", text_of(a.head_dim), ""},
    };
    auto const add = [&](char const* key, auto value, auto fallback) {
        fields.push_back({key, text_of(value), text_of(fallback)});
    };
    using Count = std::int64_t;
    bool const dense = a.experts == 0 || a.dense_layers > 0 || a.expert_layer_step > 1;
    add("ffn", dense ? a.ffn : Count{0}, Count{0});
    add("ffn_matrices", Count{a.ffn_matrices}, Count{3});
    add("norm_vectors", Count{a.norm_vectors}, Count{1});
    add("head_norms", a.head_norms, false);
    add("branch_norms", a.branch_norms, false);
    add("rotary", a.rotary, true);
    add("tied_embeddings", a.tied_embeddings, false);
    add("value_dim", a.value_width() == a.head_dim ? Count{0} : a.value_dim, Count{0});
    add("q_rank", a.q_rank, Count{0});
    add("kv_rank", a.kv_rank, Count{0});
    add("rope_dim", a.latent() ? a.rope_dim : Count{0}, Count{0});
    add("experts", Count{a.experts}, Count{0});
    add("top_k", Count{a.top_k}, Count{0});
    add("expert_ffn", a.expert_ffn, Count{0});
    add("shared_ffn", a.shared_ffn, Count{0});
    add("dense_layers", Count{a.dense_layers}, Count{0});
    add("expert_layer_step", Count{a.expert_layer_step}, Count{1});
    add("mtp_layers", Count{a.mtp_layers}, Count{0});
    add("window", a.window, Count{0});
    add("global_every", Count{a.global_every}, Count{0});
    return fields;
}

std::vector<std::string> differences(Architecture const& a, Architecture const& b) {
    std::vector<std::string> keys;
    auto const one = shape_of(a);
    auto const other = shape_of(b);
    for (std::size_t i = 0; i < one.size(); ++i) {
        if (one[i].value != other[i].value) keys.emplace_back(one[i].key);
    }
    return keys;
}

/// The same vocabulary, or that one padded to a multiple of 128 or less often.
bool same_vocabulary(std::int64_t told, std::int64_t shipped) {
    constexpr std::int64_t padding_max = 8192;  // 128 x tp 64
    return told == 0 || (told >= shipped && told - shipped < padding_max && told % 64 == 0) ||
           told == shipped;
}

Architecture shipped_model(ImportDraft const& draft, std::string const& name) {
    return load_architecture(draft.library.path("models", name, draft.job.model_place));
}

std::string model_text(Architecture const& model,
                       std::map<std::string, std::string> const& sources,
                       std::string const& fallback_source) {
    Value root;
    auto fields = shape_of(model);
    fields.push_back({"vocab", text_of(model.vocab), ""});
    fields.push_back({"max_sequence", text_of(model.max_sequence), ""});
    for (auto const& field : fields) {
        if (field.value == field.fallback) continue;
        auto const found = sources.find(field.key);
        put(root, field.key,
            leaf(field.value, found == sources.end() ? fallback_source : found->second));
    }
    return yaml_text(root);
}

void write_own(ImportDraft& draft,
               Architecture const& model,
               std::map<std::string, std::string> const& sources,
               std::string const& fallback_source) {
    auto const path = draft.beside("model", ".yaml");
    draft.result.files.push_back({path, model_text(model, sources, fallback_source)});
    draft.model_name = std::filesystem::path(path).filename().string();
    draft.system.model.value = path;
}

/// Says whose vocabulary is taken, and which others have the same shape.
void note_vocabulary(ImportDraft& draft,
                     std::string const& chosen,
                     std::vector<std::string> const& same) {
    auto const vocab = shipped_model(draft, chosen).vocab;
    std::string others;
    for (auto const& name : same) {
        auto const own = shipped_model(draft, name).vocab;
        if (own != vocab) others += fmt::format("; {} has {}", name, own);
    }
    draft.result.facts.assumed.push_back(fmt::format(
        "a vocabulary of {}, as {}, whose shape the model has{} (vocab_size=N tells it)", vocab,
        chosen, others));
}

/// A shipped model with the job's shape; of several the one that the file names.
std::optional<std::string> shipped_like(ImportDraft& draft) {
    auto const& told = draft.result.facts.model;
    std::vector<std::string> same;
    std::string nearest;
    std::vector<std::string> least;
    for (auto const& name : draft.library.names("models")) {
        auto const shipped = shipped_model(draft, name);
        auto different = differences(told, shipped);
        if (different.empty() && !same_vocabulary(told.vocab, shipped.vocab))
            different.emplace_back("vocab");
        if (different.empty()) same.push_back(name);
        bool const near = shipped.layers == told.layers && shipped.hidden == told.hidden;
        if (near && (least.empty() || different.size() < least.size())) {
            nearest = name;
            least = different;
        }
    }
    if (same.empty()) {
        if (!nearest.empty())
            draft.like.push_back(fmt::format("the model is {} but for {}", nearest, join(least)));
        return std::nullopt;
    }
    // Where nothing else tells them apart, one that was made for so many positions.
    auto const sequence = draft.result.facts.run.sequence.value_or(0);
    auto const holds = [&](std::string const& name) {
        return shipped_model(draft, name).max_sequence >= sequence;
    };
    auto const fitting = std::ranges::find_if(same, holds);
    auto chosen = fitting == same.end() ? same.front() : *fitting;
    if (same.size() > 1 && !draft.job.model.empty()) {
        auto const slash = draft.job.model.rfind('/');
        auto const words =
            slash == std::string::npos ? draft.job.model : draft.job.model.substr(slash + 1);
        for (auto const& name : same) {
            if (nearest_name(words, std::vector{name}) == name) chosen = name;
        }
    }
    std::erase(same, chosen);
    if (told.vocab == 0) note_vocabulary(draft, chosen, same);
    if (!same.empty())
        draft.like.push_back(fmt::format("the shape of {} is that of {} too", chosen, join(same)));
    return chosen;
}

void choose_by_shape(ImportDraft& draft) {
    auto& facts = draft.result.facts;
    auto model = facts.model;
    auto const name = shipped_like(draft);
    auto const sequence = facts.run.sequence.value_or(0);
    if (name) {
        auto const shipped = shipped_model(draft, *name);
        bool const positions = sequence <= shipped.max_sequence || shipped.max_sequence == 0;
        if (positions) {
            draft.model_name = draft.system.model.value = *name;
            draft.model_source = "derived: the shape that the file tells";
            return;
        }
        model.vocab = shipped.vocab;
        model.max_sequence = sequence;
        facts.model_sources["max_sequence"] = "derived: the job's sequence";
        facts.model_sources["vocab"] = "derived: as " + *name + ", whose shape it has";
    }
    if (model.vocab == 0) {
        fail({draft.job.file, 0, "vocab_size"}, "not told, and no shipped model has this shape",
             "the vocabulary as trained; nvl72sim import FILE vocab_size=N gives one");
    }
    write_own(draft, model, facts.model_sources, "derived: Megatron's own default");
}

void choose_by_name(ImportDraft& draft) {
    auto const& job = draft.job;
    if (job.model.empty()) {
        fail({job.file, 0, "num_layers"}, "neither a model's shape nor its name",
             "num_layers, hidden_size and num_attention_heads");
    }
    auto const name = model_named(job.model, draft.library, job.model_place);
    auto shipped = shipped_model(draft, name);
    auto const sequence = draft.result.facts.run.sequence.value_or(0);
    if (shipped.max_sequence == 0 || sequence <= shipped.max_sequence) {
        draft.model_name = draft.system.model.value = name;
        draft.model_source = fmt::format("derived: {} in the file", job.model);
        return;
    }
    draft.like.push_back(fmt::format("the model is {} with {} positions in place of {}", name,
                                     sequence, shipped.max_sequence));
    shipped.max_sequence = sequence;
    write_own(draft, shipped, {{"max_sequence", "derived: the job's sequence"}},
              "derived: as " + name);
}

}  // namespace

void choose_model(ImportDraft& draft) {
    if (draft.result.facts.has_model) {
        choose_by_shape(draft);
    } else {
        choose_by_name(draft);
    }
}

}  // namespace nvl72
