#pragma once

#include "sim/interchange/foreign_job.hpp"

namespace nvl72 {

/// True for a text with Megatron-Bridge's resolved ConfigContainer, a log that has one included.
bool has_bridge_config(std::string_view text);

/// The ConfigContainer that Megatron-Bridge (NeMo) resolves and prints. Of a setting that stands in
/// several sections, the one counts that Bridge's setup lets win: mixed_precision over model and
/// ddp, comm_overlap over both, each where it is not null.
ForeignJob read_bridge_config(std::string_view text, std::string const& file);

}  // namespace nvl72
