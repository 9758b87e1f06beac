#include "sim/interchange/mlperf_log.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace nvl72 {

namespace {

using Json = nlohmann::json;

/// A key of the log and the setting that it is.
struct Key {
    std::string_view theirs, ours;
};
constexpr std::array keys{
    Key{"global_batch_size", "global_batch_size"},
    Key{"max_sequence_length", "seq_length"},
    Key{"submission_platform", "submission_platform"},
    Key{"tensor_parallelism", "tensor_model_parallel_size"},
    Key{"pipeline_parallelism", "pipeline_model_parallel_size"},
    Key{"context_parallelism", "context_parallel_size"},
    Key{"expert_parallelism", "expert_model_parallel_size"},
    Key{"micro_batch_size", "micro_batch_size"},
};
/// What rounds have called a training step's time.
constexpr std::array step_keys{"train_step_time", "train_step_timing in s"};

std::string text_of(Json const& value) {
    if (value.is_string()) return value.get<std::string>();
    // Some write 112.0 for 112.
    if (value.is_number_float() &&
        value.get<double>() == static_cast<double>(static_cast<long long>(value.get<double>())))
        return std::to_string(static_cast<long long>(value.get<double>()));
    return value.dump();
}

/// A step's own time; a block's mean, which has no step of its own, is not one more.
void take_step(MlperfLog& log, Json const& record) {
    auto const value = record.find("value");
    auto const metadata = record.find("metadata");
    if (value == record.end() || !value->is_object()) return;
    bool const own =
        metadata != record.end() && metadata->is_object() && metadata->contains("step");
    for (auto const* key : step_keys) {
        if (!own || !value->contains(key) || !(*value)[key].is_number()) continue;
        double const seconds = (*value)[key].get<double>();
        if (seconds > 0) log.steps_s.push_back(seconds);
    }
}

void take(MlperfLog& log, Json const& record, Place place) {
    auto const name = record.value("key", "");
    if (name == "tracked_stats") {
        take_step(log, record);
        return;
    }
    auto const value = record.find("value");
    if (value == record.end() || value->is_null()) return;
    place.key = name;
    if (name == "submission_benchmark") log.benchmark = {name, text_of(*value), place};
    auto const found = std::ranges::find(keys, name, &Key::theirs);
    if (found == keys.end()) return;
    log.settings.push_back({std::string(found->ours), text_of(*value), place});
}

}  // namespace

MlperfLog read_mlperf_log(std::string_view text, std::string const& file) {
    constexpr std::string_view mark = ":::MLLOG";
    MlperfLog log;
    int line = 0;
    for (auto const& written : split(text, '\n')) {
        ++line;
        auto const at = written.find(mark);
        if (at == std::string::npos) continue;
        auto const from = written.find('{', at);
        auto const to = written.rfind('}');
        bool const whole = from != std::string::npos && to != std::string::npos && to > from;
        auto const record = whole ? Json::parse(written.substr(from, to - from + 1), nullptr, false)
                                  : Json(Json::value_t::discarded);
        if (record.is_discarded() || !record.is_object() ||
            !record.value("key", Json()).is_string()) {
            ++log.unreadable;
            continue;
        }
        take(log, record, {file, line, ""});
    }
    return log;
}

}  // namespace nvl72
