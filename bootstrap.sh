#!/usr/bin/env bash
# From a bare Debian or Ubuntu machine to a built, tested, used nvl72sim.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'USAGE'
usage: ./bootstrap.sh demo | test | build | help

  demo   builds nvl72sim, runs one experiment (Llama 3.1 405B on Hopper and on NVL72 racks),
         draws its figures and names the files
  test   builds everything and runs all tests that need no GPU
  build  builds nvl72sim

Installs missing Debian packages by apt (as root, or through sudo). Everything else stays in
build/ and results/demo/.
USAGE
}

packages=(
  cmake ninja-build g++ ccache pkg-config
  libboost-program-options-dev libhdf5-dev hdf5-tools libyaml-cpp-dev nlohmann-json3-dev libfmt-dev
  libgtest-dev libbenchmark-dev libeigen3-dev libpugixml-dev
  python3 python3-h5py python3-matplotlib python3-numpy
)
# The kernels' libraries come with the CUDA Toolkit; where there is none, from Debian.
if [[ ! -x ${CUDA_PATH:-/usr/local/cuda}/bin/nvcc ]] && ! command -v nvcc > /dev/null; then
  packages+=(libcu++-dev libthrust-dev libcub-dev)
fi
logs=build/bootstrap
experiment=llama405b-hopper-vs-nvl72

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }
die() { say "$*" >&2; exit 1; }

# quietly NAME COMMAND...: output goes to a log; says every 15 s that it lives, and on failure shows
# the end of the log.
quietly() {
  local name=$1 log=$logs/$1.log started=$SECONDS job code=0; shift
  "$@" > "$log" 2>&1 < /dev/null &
  job=$!
  while kill -0 "$job" 2> /dev/null; do
    sleep 1
    if (((SECONDS - started) % 15 == 14)); then say "  ... $name: $(tail -n 1 "$log" | cut -c1-90)"; fi
  done
  wait "$job" || code=$?
  if ((code)); then
    tail -n 30 "$log" >&2
    die "$name failed (exit code $code); the whole log is $log"
  fi
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    if [[ $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) != 'install ok installed' ]]; then
      echo "$package"
    fi
  done
}

install_packages() {
  if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    say "packages: no apt here; goes on with what is installed (needs ${packages[*]})"
    return
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then say "packages: all ${#packages[@]} are installed"; return; fi
  if ((EUID != 0)); then
    command -v sudo > /dev/null ||
      die "needs root or sudo for: apt-get install --no-install-recommends ${missing[*]}"
    say "packages: asks sudo for root"
    sudo -v
    as_root=(sudo)
  fi
  say "packages: installs ${#missing[@]} by apt (2 to 6 minutes on a bare machine): ${missing[*]}"
  quietly apt-update "${as_root[@]}" apt-get update
  quietly apt-install "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "${missing[@]}"
}

# One compiler per core, and no more than one per 2 GB of memory.
jobs_count() {
  local cores by_memory
  cores=$(nproc)
  by_memory=$(awk '/^MemTotal:/ { print int($2 / 2000000) }' /proc/meminfo)
  if ((by_memory < 1)); then by_memory=1; fi
  echo $((cores < by_memory ? cores : by_memory))
}

# build [TARGET]: configures and builds preset release; without a target, everything.
build() {
  say "configure: preset release"
  quietly configure cmake --preset release
  local jobs; jobs=$(jobs_count)
  say "build: ${1:-everything}, $jobs at a time"
  NINJA_STATUS='[%f/%t, %e s] ' cmake --build --preset release --parallel "$jobs" ${1:+--target "$1"} ||
    die "the build failed; the compiler's message is above"
}

demo() {
  local folder=results/demo
  build nvl72sim
  mkdir -p "$folder"
  say "run: configs/experiments/$experiment.yaml"
  build/release/nvl72sim run "configs/experiments/$experiment.yaml" -o "$folder/$experiment.h5"
  say "report: figures from $folder/$experiment.h5"
  build/release/nvl72sim report "$folder/$experiment.h5" -o "$folder"
  say "done. What there is to look at:"
  find "$folder" -type f \( -name '*.h5' -o -name '*.png' -o -name '*.html' \) | sort | sed 's/^/  /'
}

run_tests() {
  build
  say "tests: unit, property, golden, validation, cli, kernels"
  ctest --preset release --output-on-failure -j2 \
    -L '^(unit|property|golden|validation|cli|kernels)$' || die "tests failed (see above)"
  say "done: all tests passed"
}

case ${1:-help} in
  demo | test | build) mkdir -p "$logs"; install_packages ;;&
  demo) demo ;;
  test) run_tests ;;
  build) build nvl72sim; say "done: build/release/nvl72sim" ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
