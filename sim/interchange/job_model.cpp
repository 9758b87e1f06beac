#include "sim/base/text.hpp"
#include "sim/interchange/setting_reader.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// Reads one field of the architecture and remembers where it stood.
class ModelReader {
public:
    explicit ModelReader(SettingReader& reader) : reader_(reader) {}

    using Names = std::initializer_list<std::string_view>;

    template <class T>
    bool count(Names names, std::string const& field, T& into, std::int64_t least = 1) {
        auto const value = reader_.count(names, "model." + field, least);
        if (!value) return false;
        auto const* setting = reader_.last();
        constexpr std::int64_t most = 1'000'000'000;
        if (*value > most) fail(setting->place, setting->value, fmt::format("at most {}", most));
        into = static_cast<T>(*value);
        told(field, *setting);
        return true;
    }

    void told(std::string const& field, ForeignSetting const& setting) {
        reader_.facts().model_sources[field] = "derived: " + reader_.where(setting);
    }

    void follows(std::string const& field, std::string const& why) {
        reader_.facts().model_sources[field] = "derived: " + why;
    }

private:
    SettingReader& reader_;
};

bool gated(SettingReader& reader) {
    bool const swiglu = reader.flag({"swiglu", "gated_linear_unit"}, "").value_or(true);
    (void)reader.told({"activation_func", "squared_relu", "openai_gelu"});
    return swiglu;
}

/// Megatron's own width where none is told: 4 x hidden, or 8/3 in multiples of 64 where gated.
std::int64_t default_ffn(Architecture const& model) {
    constexpr std::int64_t step = 64;
    if (!model.gated()) return 4 * model.hidden;
    return 4 * model.hidden * 2 / 3 / step * step;
}

/// [[0, 0, 1], 2] of "([0]*2+[1]*58)", "[0, 0, 1]"; none for another text.
std::optional<std::vector<int>> pattern_of(std::string const& text) {
    std::string plain;
    for (char const c : text) {
        if (std::string_view("() \"'\t").find(c) == std::string_view::npos) plain += c;
    }
    std::vector<int> layers;
    constexpr std::size_t layers_max = 100'000;
    for (auto const& term : split(plain, '+')) {
        auto const close = term.find(']');
        if (!term.starts_with('[') || close == std::string::npos) return std::nullopt;
        std::vector<int> part;
        for (auto const& item : split(term.substr(1, close - 1), ',')) {
            if (item != "0" && item != "1") return std::nullopt;
            part.push_back(item == "1" ? 1 : 0);
        }
        std::size_t times = 1;
        auto const rest = term.substr(close + 1);
        if (!rest.empty()) {
            bool const digits =
                rest.size() > 1 && rest.size() < 7 && rest[0] == '*' &&
                std::ranges::all_of(
                    rest.substr(1),
                    [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
            if (!digits) return std::nullopt;
            times = std::stoul(rest.substr(1));
        }
        for (std::size_t i = 0; i < times && layers.size() < layers_max; ++i)
            layers.insert(layers.end(), part.begin(), part.end());
    }
    return layers;
}

/// Which layers have experts: every so many-th, or all behind the first few.
void read_frequency(SettingReader& reader, ModelReader& fields, Architecture& model) {
    auto const* setting = reader.told("moe_layer_freq");
    if (setting == nullptr) return;
    auto const text = trimmed(setting->value);
    bool const number = !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) != 0;
    if (number) {
        model.expert_layer_step = static_cast<int>(whole_of(*setting, 1));
        reader.take(*setting, "model.expert_layer_step", std::to_string(model.expert_layer_step));
        fields.told("expert_layer_step", *setting);
        return;
    }
    auto const pattern = pattern_of(std::string(text));
    if (!pattern || pattern->size() != static_cast<std::size_t>(model.layers)) {
        fail(setting->place, fmt::format("'{}'", text),
             fmt::format("a number, or a list of 0 and 1 for each of the {} layers, as "
                         "[0]*3+[1]*58",
                         model.layers));
    }
    auto const first = std::ranges::find(*pattern, 1) - pattern->begin();
    bool const then_all =
        std::all_of(pattern->begin() + first, pattern->end(), [](int layer) { return layer == 1; });
    if (!then_all) reader.open(*setting, "our layers have experts behind the first dense ones");
    model.dense_layers = static_cast<int>(first);
    reader.take(*setting, "model.dense_layers", std::to_string(model.dense_layers));
    fields.told("dense_layers", *setting);
}

void read_experts(SettingReader& reader, ModelReader& fields, Architecture& model) {
    fields.count({"num_experts"}, "experts", model.experts, 0);
    // A dump has the experts' defaults for dense models too.
    if (model.experts == 0) {
        (void)reader.told({"moe_router_topk", "moe_ffn_hidden_size", "moe_layer_freq",
                           "moe_shared_expert_intermediate_size"});
        return;
    }
    model.top_k = 2;
    fields.follows("top_k", "Megatron's own default");
    fields.count({"moe_router_topk"}, "top_k", model.top_k);
    model.expert_ffn = model.ffn;
    fields.follows("expert_ffn", "as the ffn, Megatron's own default");
    fields.count({"moe_ffn_hidden_size"}, "expert_ffn", model.expert_ffn);
    fields.count({"moe_shared_expert_intermediate_size"}, "shared_ffn", model.shared_ffn);
    read_frequency(reader, fields, model);
}

void read_latent(SettingReader& reader, ModelReader& fields, Architecture& model) {
    bool const latent = reader.flag({"multi_latent_attention"}, "").value_or(false);
    if (!latent) {
        (void)reader.told(
            {"kv_lora_rank", "q_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim"});
        return;
    }
    // Megatron's own defaults, of MLATransformerConfig.
    std::int64_t plain = 128;
    model.rope_dim = 64;
    model.kv_rank = 512;
    model.value_dim = 128;
    for (auto const* field : {"head_dim", "rope_dim", "kv_rank", "value_dim"})
        fields.follows(field, "Megatron's own default");
    fields.count({"kv_lora_rank"}, "kv_rank", model.kv_rank);
    fields.count({"q_lora_rank"}, "q_rank", model.q_rank);
    fields.count({"qk_pos_emb_head_dim"}, "rope_dim", model.rope_dim);
    fields.count({"v_head_dim"}, "value_dim", model.value_dim);
    auto const* width = reader.told("qk_head_dim");
    if (width != nullptr) plain = whole_of(*width, 1);
    model.head_dim = plain + model.rope_dim;
    if (width != nullptr) {
        reader.take(*width, "model.head_dim", std::to_string(model.head_dim));
        fields.told("head_dim", *width);
    }
    model.kv_heads = model.heads;
    model.head_norms = false;  // its norms are the latents'
}

void read_attention(SettingReader& reader, ModelReader& fields, Architecture& model) {
    model.head_dim = model.heads > 0 ? model.hidden / model.heads : 0;
    fields.follows("head_dim", "hidden over heads");
    fields.count({"kv_channels"}, "head_dim", model.head_dim);
    model.kv_heads = model.heads;
    fields.follows("kv_heads", "as the heads");
    // Only Bridge, and newer releases, say by the groups alone that there are some.
    bool const grouped = reader.flag({"group_query_attention"}, "").value_or(true) ||
                         reader.job().kind == JobFileKind::bridge;
    if (grouped) {
        fields.count({"num_query_groups"}, "kv_heads", model.kv_heads);
    } else {
        (void)reader.told("num_query_groups");
    }
    model.head_norms = reader.flag({"qk_layernorm"}, "").value_or(false);
    if (model.head_norms) fields.follows("head_norms", "qk_layernorm");
    // "(128, 0)", "[128, 0]", "128": tokens to the left
    if (auto const* window = reader.told("window_size"); window != nullptr) {
        ForeignSetting left = *window;
        left.value =
            left.value.substr(std::min(left.value.size(), left.value.find_first_of("0123456789")));
        left.value = left.value.substr(0, left.value.find_first_not_of("0123456789"));
        if (!left.value.empty()) {
            model.window = whole_of(left, 1) + 1;  // Transformer Engine counts without the token
            reader.take(*window, "model.window", std::to_string(model.window));
            fields.told("window", *window);
            int every = 0;
            if (fields.count({"window_attn_skip_freq"}, "global_every", every))
                model.global_every = every;
        }
    }
    read_latent(reader, fields, model);
}

/// The vocabulary as it is trained: padded, where that is told or follows.
void read_vocabulary(SettingReader& reader, ModelReader& fields, Architecture& model) {
    auto const multiple = reader.told("make_vocab_size_divisible_by");
    constexpr std::int64_t megatron_multiple = 128;
    auto const step = (multiple != nullptr ? whole_of(*multiple, 1) : megatron_multiple) *
                      reader.facts().layout.tp;
    bool const padded = reader.job().kind == JobFileKind::bridge
                            ? reader.flag({"should_pad_vocab"}, "") == true
                            : true;
    if (fields.count({"padded_vocab_size"}, "vocab", model.vocab)) {
        (void)reader.told("vocab_size");
        return;
    }
    if (!fields.count({"vocab_size"}, "vocab", model.vocab)) return;
    auto const full = (model.vocab + step - 1) / step * step;
    if (!padded || full == model.vocab) return;
    fields.follows("vocab",
                   fmt::format("vocab_size {}, padded to a multiple of {} x tp {}", model.vocab,
                               step / reader.facts().layout.tp, reader.facts().layout.tp));
    model.vocab = full;
}

void read_kinds(SettingReader& reader, ModelReader& fields, Architecture& model) {
    auto const norm = reader.word({"normalization"}, "");
    bool const rms = norm == "rmsnorm" || reader.told("RMSNorm") != nullptr;
    model.norm_vectors = rms ? 1 : 2;
    fields.follows("norm_vectors", norm.empty() ? "LayerNorm, Megatron's own default" : norm);
    bool const turned = reader.flag({"use_rotary_position_embeddings"}, "").value_or(false);
    auto const positions = reader.word({"position_embedding_type"}, "");
    model.rotary = turned || positions == "rope" || positions == "yarn" || positions == "mrope" ||
                   positions == "none";
    fields.follows("rotary", positions.empty() ? "learned positions, Megatron's own default"
                                               : "position_embedding_type " + positions);
    auto const shared = reader.told("share_embeddings_and_output_weights");
    model.tied_embeddings =
        shared != nullptr
            ? !is_off(*shared, reader.job().kind)
            : !reader.flag({"untie_embeddings_and_output_weights"}, "").value_or(false);
    fields.follows("tied_embeddings", shared != nullptr ? "share_embeddings_and_output_weights"
                                                        : "untie_embeddings_and_output_weights");
}

}  // namespace

void read_model(SettingReader& reader) {
    auto& facts = reader.facts();
    auto& model = facts.model;
    ModelReader fields(reader);
    bool const layers = fields.count({"num_layers", "encoder_num_layers"}, "layers", model.layers);
    bool const hidden = fields.count({"hidden_size"}, "hidden", model.hidden);
    bool const heads = fields.count({"num_attention_heads"}, "heads", model.heads);
    if (!layers && !hidden && !heads) return;  // MLPerf names a model
    auto const missing = [&](bool there, char const* name) {
        if (!there)
            fail({reader.job().file, 0, name}, "not told",
                 fmt::format("a whole number; nvl72sim import FILE {}=N gives one", name));
    };
    missing(layers, "num_layers");
    missing(hidden, "hidden_size");
    missing(heads, "num_attention_heads");
    facts.has_model = true;
    model.ffn_matrices = gated(reader) ? 3 : 2;
    fields.follows("ffn_matrices", model.gated() ? "gated" : "not gated");
    model.ffn = default_ffn(model);
    fields.follows("ffn", "Megatron's own default");
    fields.count({"ffn_hidden_size"}, "ffn", model.ffn);
    read_attention(reader, fields, model);
    read_vocabulary(reader, fields, model);
    read_experts(reader, fields, model);
    read_kinds(reader, fields, model);
    fields.count({"mtp_num_layers"}, "mtp_layers", model.mtp_layers, 0);
    // Bridge's seq_length is the model's; the dataset's is the job's.
    if (reader.job().kind == JobFileKind::bridge && reader.told("model_seq_length") != nullptr)
        fields.count({"model_seq_length"}, "max_sequence", model.max_sequence);
    fields.count({"max_position_embeddings"}, "max_sequence", model.max_sequence);
    if (model.max_sequence == 0 && facts.run.sequence) {
        model.max_sequence = *facts.run.sequence;
        fields.follows("max_sequence", "the job's sequence");
    }
    if (model.experts == 0) facts.layout.expert_tp = 1;
}

}  // namespace nvl72
