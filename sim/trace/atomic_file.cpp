#include "sim/trace/atomic_file.hpp"

#include "sim/base/error.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string const& path, std::string const& why) {
    throw ConfigError(path + ": " + why);
}

std::string reason(int error) { return std::strerror(error); }

/// An open file, read only.
class Descriptor {
public:
    explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;
    ~Descriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool open() const { return descriptor_ >= 0; }

private:
    int descriptor_;
};

/// A file under a temporary name, removed unless it was renamed into place.
class Temporary {
public:
    Temporary(fs::path const& folder, std::string target) : target_(std::move(target)) {
        // Its own short name: one derived from the target could pass the system's length limit.
        for (int attempt = 0; attempt < 1000; ++attempt) {
            name_ = folder / (".nvl72-" + std::to_string(::getpid()) + "-" +
                              std::to_string(attempt) + ".tmp");
            int const descriptor =
                ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (descriptor >= 0) {
                descriptor_ = descriptor;
                return;
            }
            if (errno != EEXIST) break;
        }
        refuse(target_, "cannot be written: " + reason(errno));
    }
    Temporary(Temporary const&) = delete;
    Temporary& operator=(Temporary const&) = delete;
    ~Temporary() {
        if (descriptor_ >= 0) ::close(descriptor_);
        if (!kept_) ::unlink(name_.c_str());
    }

    void write(std::vector<char> const& bytes) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            auto const wrote = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote <= 0) refuse(target_, "cannot be written: " + reason(errno));
            done += static_cast<std::size_t>(wrote);
        }
        if (::fsync(descriptor_) != 0) refuse(target_, "cannot be written: " + reason(errno));
    }

    void rename_to(fs::path const& target) {
        int const closing = descriptor_;
        descriptor_ = -1;
        if (::close(closing) != 0 || ::rename(name_.c_str(), target.c_str()) != 0) {
            refuse(target_, "cannot be written: " + reason(errno));
        }
        kept_ = true;
    }

private:
    std::string target_;
    fs::path name_;
    int descriptor_ = -1;
    bool kept_ = false;
};

/// Where the bytes go: a link is followed, so that the file it names is replaced, not the link.
fs::path destination(std::string const& path) {
    std::error_code error;
    if (!fs::is_symlink(path, error)) return path;
    auto const target = fs::weakly_canonical(path, error);
    if (error) refuse(path, "cannot be written: " + error.message());
    return target;
}

fs::path folder_of(fs::path const& file) {
    return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

void check_writable(std::string const& path) {
    if (path.empty()) throw ConfigError("output file: '' (expected a path such as run.h5)");
    auto const target = destination(path);
    auto const folder = folder_of(target);
    struct stat found{};
    if (::stat(folder.c_str(), &found) != 0) {
        refuse(path, "cannot be written: folder " + folder.string() + ": " + reason(errno));
    }
    if (!S_ISDIR(found.st_mode)) {
        refuse(path, "cannot be written: " + folder.string() + " is not a folder");
    }
    if (::access(folder.c_str(), W_OK | X_OK) != 0) {
        refuse(path, "cannot be written: folder " + folder.string() + ": " + reason(errno));
    }
    if (::stat(target.c_str(), &found) == 0) {
        if (S_ISDIR(found.st_mode)) refuse(path, "is a folder (expected a file to write)");
        if (!S_ISREG(found.st_mode)) refuse(path, "is a device (expected a file to write)");
    } else if (errno != ENOENT) {
        refuse(path, "cannot be written: " + reason(errno));
    }
}

void write_whole(std::string const& path, std::vector<char> const& bytes) {
    auto const target = destination(path);
    Temporary temporary(folder_of(target), path);
    temporary.write(bytes);
    temporary.rename_to(target);
    // The rename itself survives a power cut once the folder is synced; not every file system
    // can, and the file is whole either way.
    Descriptor const folder(::open(folder_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.open()) ::fsync(folder.get());
}

std::vector<char> read_whole(std::string const& path) {
    Descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.open()) refuse(path, "cannot be read: " + reason(errno));
    struct stat found{};
    if (::fstat(file.get(), &found) != 0) refuse(path, "cannot be read: " + reason(errno));
    if (S_ISDIR(found.st_mode)) refuse(path, "is a folder (expected a result file, .h5)");
    if (!S_ISREG(found.st_mode)) refuse(path, "is not a file (expected a result file, .h5)");
    std::vector<char> bytes(static_cast<std::size_t>(found.st_size));
    std::size_t done = 0;
    while (done < bytes.size()) {
        auto const got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refuse(path, "cannot be read: " + reason(errno));
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    if (bytes.empty()) refuse(path, "is empty (expected a result file, .h5)");
    return bytes;
}

}  // namespace nvl72
