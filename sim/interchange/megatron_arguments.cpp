#include "sim/interchange/megatron_arguments.hpp"

#include "sim/base/text.hpp"
#include "sim/interchange/shell_script.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

namespace {

using Words = std::vector<ShellWord>;

/// Arguments that no other program has.
constexpr std::array<std::string_view, 6> tell_tale{
    "--tensor-model-parallel-size", "--pipeline-model-parallel-size", "--num-attention-heads",
    "--micro-batch-size",           "--tensor_model_parallel_size",   "--micro_batch_size"};

/// A markdown fence is no command.
std::string without_fences(std::string_view text) {
    std::string plain;
    for (auto const& line : split(text, '\n')) {
        bool const fence = trimmed(line).starts_with("```");
        plain += (fence ? std::string() : line) + "\n";
    }
    return plain;
}

std::optional<ShellWord> text_beside(std::string const& file, std::string const& name) {
    auto const path = std::filesystem::path(file).parent_path() / name;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return ShellWord{text.str(), 0, path.string()};
}

/// A command that was quoted whole (`bash -c "torchrun ..."`, `CMD="torchrun ..."`), word by word.
Words respread(Words const& command) {
    Words words;
    for (auto const& word : command) {
        bool const command_line = word.text.find(" --") != std::string::npos;
        if (!command_line) {
            words.push_back(word);
            continue;
        }
        for (auto const& part : split(word.text, ' ')) {
            if (!part.empty()) words.push_back({part, word.line, word.file});
        }
    }
    return words;
}

bool is_option(std::string const& text) {
    return text.size() > 2 && text.starts_with("--") &&
           std::isalpha(static_cast<unsigned char>(text[2])) != 0;
}

bool tells_a_job(Words const& words) {
    return std::ranges::any_of(words, [](ShellWord const& word) {
        auto const name = word.text.substr(0, word.text.find('='));
        return std::ranges::find(tell_tale, name) != tell_tale.end();
    });
}

/// What may stand behind an option: no other option, no program; a variable that is set nowhere
/// only as the whole value.
bool is_value(std::string const& word, bool more) {
    return !is_option(word) && !word.ends_with(".py") && !(more && word.starts_with('$'));
}

/// --name value value, --name=value, --switch.
void take_options(ForeignJob& job, Words const& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        bool const unset = i > 0 && words[i].text.starts_with('$') && words[i].text.size() > 1;
        if (unset)
            job.notes.push_back(
                fmt::format("line {}: {} is set nowhere", words[i].line, words[i].text));
        if (!is_option(words[i].text)) continue;
        auto const& text = words[i].text;
        auto const equals = text.find('=');
        ForeignSetting setting;
        setting.name = megatron_name(text.substr(0, equals));
        setting.place = {words[i].file, words[i].line, text.substr(0, equals)};
        if (equals != std::string::npos) {
            setting.value = text.substr(equals + 1);
        } else {
            std::vector<std::string> values;
            while (i + 1 < words.size() && is_value(words[i + 1].text, !values.empty()))
                values.push_back(words[++i].text);
            setting.value = join(values, " ");
        }
        job.set(std::move(setting));
    }
}

/// Variables that hold arguments and are used nowhere: a pasted part of a script.
Words arguments_in_variables(ShellScript const& script) {
    Words words;
    for (auto const& [name, variable] : script.variables()) {
        if (variable.array) {
            words.insert(words.end(), variable.items.begin(), variable.items.end());
        } else if (variable.value.text.find("--") != std::string::npos) {
            auto const spread = respread({variable.value});
            words.insert(words.end(), spread.begin(), spread.end());
        }
    }
    return words;
}

/// #SBATCH --nodes=4: below what the command itself says.
void take_slurm(ForeignJob& job, std::string_view text, std::string const& file) {
    constexpr std::string_view mark = "#SBATCH";
    constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kept{{
        {"nodes", "nnodes"},
        {"ntasks_per_node", "slurm_ntasks_per_node"},
        {"gpus_per_node", "slurm_gpus_per_node"},
        {"gres", "slurm_gres"},
        {"ntasks", "slurm_ntasks"},
    }};
    int number = 0;
    for (auto const& line : split(text, '\n')) {
        ++number;
        auto const plain = trimmed(line);
        if (!plain.starts_with(mark)) continue;
        auto option = std::string(trimmed(plain.substr(mark.size())));
        if (option.starts_with("-N")) option = "--nodes " + option.substr(2);
        auto const end = option.find_first_of("= ");
        if (end == std::string::npos) continue;
        auto const name = megatron_name(option.substr(0, end));
        auto const value = std::string(trimmed(option.substr(end + 1)));
        auto const found = std::ranges::find(kept, name, [](auto const& row) { return row.first; });
        if (found == kept.end()) continue;
        std::string const as(found->second);
        auto const* old = job.find(as);
        bool const known = old != nullptr && !old->value.starts_with('$');
        if (!known) job.set({as, value, {file, number, option.substr(0, end)}});
    }
}

}  // namespace

bool has_megatron_arguments(std::string_view text) {
    return std::ranges::any_of(tell_tale, [&](std::string_view name) {
        return text.find(name) != std::string_view::npos;
    });
}

ForeignJob read_megatron_arguments(std::string_view text,
                                   std::string const& file,
                                   std::map<std::string, std::string> const& environment) {
    ForeignJob job;
    job.file = file;
    job.kind = JobFileKind::megatron;
    job.absent_is_off = true;
    ShellScript script(environment,
                       [&](std::string const& name) { return text_beside(file, name); });
    script.run(without_fences(text), file);
    for (auto const& command : script.commands()) {
        auto const words = respread(command);
        if (tells_a_job(words)) take_options(job, words);
    }
    if (job.settings.empty()) take_options(job, arguments_in_variables(script));
    // Lines of arguments without their command, each by itself.
    if (job.find("num_layers") == nullptr) {
        for (auto const& command : script.commands()) {
            auto const words = respread(command);
            if (is_option(words.front().text)) take_options(job, words);
        }
    }
    for (auto const* name : {"WORLD_SIZE", "NNODES", "GPUS_PER_NODE"}) {
        auto const found = script.variables().find(name);
        if (found == script.variables().end() || found->second.value.text.empty()) continue;
        auto const& value = found->second.value;
        job.set({"environment_" + megatron_name(name), value.text, {value.file, value.line, name}});
    }
    take_slurm(job, text, file);
    for (auto const& note : script.notes())
        job.notes.push_back(fmt::format("line {}: {}", note.line, note.text));
    return job;
}

}  // namespace nvl72
