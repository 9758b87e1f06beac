#include "sim/app/child.hpp"

#include "sim/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nvl72 {

namespace {

volatile std::sig_atomic_t child_now = 0;
volatile std::sig_atomic_t asked_to_end = 0;

/// Ctrl-C reaches the child by itself, as it is of our terminal's group; what a program sends
/// to us alone (kill, a job's manager) we pass on.
void pass_on(int signal, siginfo_t* sent, void* /*context*/) {
    asked_to_end = 1;
    bool const by_terminal = signal == SIGINT && sent->si_code == SI_KERNEL;
    if (child_now > 0 && !by_terminal) (void)kill(static_cast<pid_t>(child_now), signal);
}

sigset_t end_signals() {
    sigset_t signals{};
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

/// While it lives, signals that end us go to the child. They wait until `release` is told which it
/// is, so that none is lost.
class SignalsToChild {
public:
    SignalsToChild() {
        auto const ours = end_signals();
        sigprocmask(SIG_BLOCK, &ours, &mask_);
        asked_to_end = 0;
        struct sigaction action{};
        action.sa_sigaction = pass_on;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGINT, &action, &interrupt_);
        sigaction(SIGTERM, &action, &end_);
    }
    SignalsToChild(SignalsToChild const&) = delete;
    SignalsToChild& operator=(SignalsToChild const&) = delete;
    ~SignalsToChild() {
        child_now = 0;
        sigaction(SIGINT, &interrupt_, nullptr);
        sigaction(SIGTERM, &end_, nullptr);
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }
    void release(pid_t child) const {
        child_now = child;
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }
    /// In the child: as it would find them without us.
    void restore() const {
        (void)std::signal(SIGINT, SIG_DFL);
        (void)std::signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }

private:
    sigset_t mask_{};
    struct sigaction interrupt_{};
    struct sigaction end_{};
};

int exit_code_of(int status) {
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    int const signal = WTERMSIG(status);
    bool const asked = signal == SIGINT || signal == SIGTERM;
    return asked ? static_cast<int>(ExitCode::interrupted) : 128 + signal;
}

}  // namespace

int run_program(std::vector<std::string> arguments,
                ChildOutput output,
                std::vector<std::pair<std::string, std::string>> const& environment) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    SignalsToChild const signals;
    pid_t const child = fork();
    if (child < 0)
        throw Error(ExitCode::internal_error, std::string("fork: ") + std::strerror(errno));
    if (child == 0) {
        signals.restore();
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (output == ChildOutput::none) {
            int const nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
            if (nowhere >= 0) (void)dup2(nowhere, STDOUT_FILENO);
        }
        for (auto const& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
        execv(argv[0], argv.data());
        _exit(127);
    }
    signals.release(child);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    // A child that was through already must not make us go on.
    return asked_to_end != 0 ? static_cast<int>(ExitCode::interrupted) : exit_code_of(status);
}

}  // namespace nvl72
