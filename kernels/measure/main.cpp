/// nvl72-measure: times this machine and leaves a samples file (kernels/README.md).

#include "kernels/measure/run.hpp"

#include "kernels/measure/errors.hpp"
#include "kernels/measure/settings.hpp"
#include "kernels/measure/world.hpp"
#include "kernels/team/platform.hpp"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <system_error>

namespace {

constexpr char const* unwritten = "stdout: the answer could not be written (disk full or closed?)";

std::uint64_t stop_word = 0;
static_assert(nvl72::kernels::SystemAtomic::is_always_lock_free, "a signal handler may store it");

bool stopped() {
    return nvl72::kernels::SystemAtomic(stop_word).load(cuda::memory_order_relaxed) != 0;
}

/// The first signal ends the run at the next block; a second one ends the process at once.
extern "C" void on_signal(int signal) {
    nvl72::kernels::SystemAtomic(stop_word).store(1, cuda::memory_order_relaxed);
    (void)std::signal(signal, SIG_DFL);
}

int fail(std::exception const& why, int code) {
    (void)std::fprintf(stderr, "nvl72-measure: %s\n", why.what());
    nvl72::measure::leave_world(code);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    (void)std::signal(SIGINT, on_signal);
    (void)std::signal(SIGTERM, on_signal);
    try {
        nvl72::measure::run(nvl72::measure::parse_settings(argc, argv), stopped);
        if (std::fflush(stdout) != 0) throw nvl72::measure::InputError(unwritten);
        nvl72::measure::leave_world(0);
        return 0;
    } catch (nvl72::measure::InputError const& why) {
        return fail(why, 2);
    } catch (nvl72::measure::Interrupted const& why) {
        return fail(why, 130);
    } catch (std::system_error const& why) {  // fmt::print's
        if (std::ferror(stdout) == 0) return fail(why, 1);
        return fail(nvl72::measure::InputError(unwritten), 2);
    } catch (std::exception const& why) {
        return fail(why, 1);
    }
}
