#pragma once

#include "sim/interchange/nccl_log.hpp"

#include <set>

/// What reads nccl-tests' output behind nccl_log.hpp.
namespace nvl72::nccl_log {

std::optional<Printed> printed_number(std::string_view text);  ///< finite; none otherwise
std::optional<std::int64_t> whole_number(std::string_view text);
/// "1048576", "1024M", "1G": binary multiples, as nccl-tests' -b takes them.
std::optional<std::int64_t> buffer_size(std::string_view text);

std::vector<std::string_view> words_of(std::string_view line);

/// `line` without the prefix of srun -l, mpirun --tag-output, kubectl --prefix and their like.
std::string_view without_launcher(std::string_view line);

/// A line without the message of NCCL that it ends with. NCCL writes unasked: its message, which
/// begins with the host's name, may be glued to a row that is not finished.
struct Unmixed {
    std::string text;
    bool had_message = false;
};
using Hosts = std::set<std::string, std::less<>>;
Unmixed without_message(std::string_view line, Hosts const& hosts);
/// Adds the host that `line` tells of: of a rank, or of a whole message.
void note_host(std::string_view line, Hosts& hosts);

/// Columns of the table as its header names them, normalised to size count type redop root time
/// algbw busbw wrong | error, and whatever else; empty for a line that is no header of columns.
std::vector<std::string> columns_of(std::vector<std::string_view> const& words);
/// The columns of rows without a header, by their count.
std::vector<std::string> columns_by_count(std::vector<std::string_view> const& words);

/// Where in the words a row begins; none where none does. In a table anything that begins with
/// a digit is a row, whole or damaged.
std::optional<std::size_t> row_begin(std::vector<std::string_view> const& words, bool in_table);
/// True where the words end a row: after its last column, or after one of its times.
bool ends_row(std::size_t words, std::vector<std::string> const& columns);

/// A row, or what is wrong with it: "found (expected)".
struct RowOrDamage {
    NcclRow row;
    std::string damage;
};
RowOrDamage read_row(std::vector<std::string_view> const& words,
                     std::vector<std::string> const& columns);

/// Puts a time into the row, or the reason why not.
void take_time(NcclRow& row, NcclTime const& time, bool in_place);
/// The bandwidth that size and time do not give, `found (expected)`; "" where all is well.
std::string inconsistency(NcclRow const& row);

void read_text(NcclLog& log, std::string_view text);
void read_json(NcclLog& log, std::string const& text);

void add_note(NcclLog& log, int line, std::string const& note);
/// "./build/all_reduce_perf" -> "all_reduce"; "" for what is no test program.
std::string op_of_program(std::string_view word);
/// 22902 -> "2.29.2"
std::string nccl_of_code(std::int64_t code);
void add_device(NcclLog& log, std::string_view name);

}  // namespace nvl72::nccl_log
